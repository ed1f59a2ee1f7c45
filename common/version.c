/* The one place that names this build. */
#include "config.h"

#include "common/compiler.h"

const char *build_version(void)
{
    return PACKAGE_VERSION;
}
