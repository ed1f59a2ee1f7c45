/*
 * The manifest of a snapshot, as a peer sends it: the names in it become files here. A name is taken
 * when it is plain, and once; with any other the manifest is refused. What was taken, sent on, is
 * taken again and is the same.
 *
 *   1 byte: 0 a SnapData | 1 names and sizes: {1 byte: length, name, 1 byte: size}
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "namenode/snap_files.h"
#include "rpc/node.pb-c.h"
#include "tests/fuzz/target.h"

static void check(bool ok)
{
    if (!ok)
        abort();
}

/* Said in another way than snap_files.c does. */
static bool is_plain(const char *name)
{
    size_t n = 0;

    for (; name[n] != '\0'; n++) {
        if (name[n] == '/')
            return false;
    }
    return n >= 1 && n <= SNAP_NAME_MAX - 1 && name[0] != '.';
}

static bool is_listed(const struct snap_files *f, const char *name)
{
    for (size_t i = 0; i < f->count; i++) {
        if (strcmp(f->list[i].name, name) == 0)
            return true;
    }
    return false;
}

static int add(struct snap_files *f, const char *name, uint64_t size, uint64_t hash)
{
    bool good = is_plain(name) && !is_listed(f, name) && f->count < SNAP_FILES_MAX;
    size_t count = f->count;
    int r = snap_files_add(f, name, size, hash);
    const struct snap_file *file;

    check(r == (good ? 0 : -EBADMSG) && f->count == count + (r == 0));
    if (r < 0)
        return r;
    file = snap_files_find(f, name);
    check(file == &f->list[count] && strcmp(file->name, name) == 0);
    check(file->size == size && file->hash == hash);
    return 0;
}

/* As snap_receiver.c does. */
static int take_manifest(struct snap_files *f, const Dfs__SnapData *m)
{
    int r = 0;

    for (size_t i = 0; i < m->n_files && r == 0; i++)
        r = add(f, m->files[i]->name, m->files[i]->size, m->files[i]->hash);
    return r;
}

/* As snap_sender.c does. */
static uint8_t *send_manifest(const struct snap_files *f, size_t *ret_len)
{
    Dfs__SnapFile *files = mem_zalloc(f->count + 1, sizeof(*files));
    Dfs__SnapFile **list = mem_zalloc(f->count + 1, sizeof(*list));
    Dfs__SnapData m = DFS__SNAP_DATA__INIT;
    uint8_t *bytes;

    for (size_t i = 0; i < f->count; i++) {
        dfs__snap_file__init(&files[i]);
        files[i].name = f->list[i].name;
        files[i].size = f->list[i].size;
        files[i].hash = f->list[i].hash;
        list[i] = &files[i];
    }
    m.files = list;
    m.n_files = f->count;
    *ret_len = dfs__snap_data__get_packed_size(&m);
    bytes = mem_alloc(*ret_len + 1);
    check(dfs__snap_data__pack(&m, bytes) == *ret_len);
    free(files);
    free(list);
    return bytes;
}

static void send_on(const struct snap_files *f)
{
    struct snap_files again = {0};
    Dfs__SnapData *m;
    uint8_t *bytes;
    size_t len;

    bytes = send_manifest(f, &len);
    m = dfs__snap_data__unpack(NULL, len, bytes);
    check(m != NULL && take_manifest(&again, m) == 0 && again.count == f->count);
    for (size_t i = 0; i < f->count; i++)
        check(strcmp(f->list[i].name, again.list[i].name) == 0 &&
              f->list[i].size == again.list[i].size && f->list[i].hash == again.list[i].hash);
    dfs__snap_data__free_unpacked(m, NULL);
    snap_files_done(&again);
    free(bytes);
}

static void fuzz_message(const uint8_t *data, size_t size)
{
    Dfs__SnapData *m = dfs__snap_data__unpack(NULL, size, data);
    struct snap_files files = {0};

    if (m == NULL)
        return;
    (void)take_manifest(&files, m);
    send_on(&files);
    snap_files_done(&files);
    dfs__snap_data__free_unpacked(m, NULL);
}

/* Here a name that is refused ends nothing: more of them are tried. */
static void fuzz_names(const uint8_t *data, size_t size)
{
    struct snap_files files = {0};

    while (size >= 2) {
        size_t len = data[0];
        char name[UINT8_MAX + 1] = {0};

        if (len > size - 2)
            len = size - 2;
        memcpy(name, data + 1, len);
        (void)add(&files, name, data[1 + len], len);
        data += 2 + len;
        size -= 2 + len;
    }
    send_on(&files);
    snap_files_done(&files);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    if (data[0] & 1)
        fuzz_names(data + 1, size - 1);
    else
        fuzz_message(data + 1, size - 1);
    return 0;
}
