#!/usr/bin/env python3
"""A peer that does not keep to the rules, for bad_input.sh.

    bad_peer.py ADDR:PORT FROM WHAT [CA CERT KEY]

Connects from the local address FROM, sends WHAT, and waits until the other side closes. Exit 0: it
did, in time; what it answered goes to stdout. Exit 1: it did not, or sent what no server should.
With certificates the bytes go over TLS, which has to come to stand first; for a WHAT of "handshake"
it is what must not.
"""
import random
import socket
import ssl
import struct
import sys

PATIENCE_S = 9
MAGIC = 0x31736664
ERROR_REPLY = 3
RAFT, NODE_REGISTER, PING = 20, 30, 1
BODY_MAX = 4 << 20


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def frame(kind=PING, body=b"", body_len=None, data_len=0, body_crc=None, break_header=False):
    head = struct.pack("<IHHQIII", MAGIC, kind, 0, 7, len(body) if body_len is None else body_len,
                       data_len, crc32c(body) if body_crc is None else body_crc)
    return head + struct.pack("<I", crc32c(head) ^ break_header) + body


def hello():
    """The first bytes that a TLS client says."""
    into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    try:
        context.wrap_bio(into, out).do_handshake()
    except ssl.SSLWantReadError:
        pass
    return out.read()


SAY = {
    "nothing": lambda: b"",
    "garbage": lambda: b"\xf3" + random.Random(7).randbytes(100000),
    "http": lambda: b"GET / HTTP/1.1\r\nHost: dfs\r\n\r\n",
    "frame": frame,
    "hello": hello,
    "half-hello": lambda: hello()[:100],
    "hello-and-garbage": lambda: hello()[:100] + random.Random(8).randbytes(100000),
    "handshake": lambda: b"",
    "bad-header": lambda: frame(break_header=True),
    "huge-body": lambda: frame(body_len=BODY_MAX + 1),
    "huge-data": lambda: frame(data_len=0xFFFFFFFF),
    "bad-body": lambda: frame(body=b"\x08\x01", body_crc=1),
    "not-protobuf": lambda: frame(kind=NODE_REGISTER, body=b"\xff" * 64),
    "raft": lambda: frame(kind=RAFT, body=b"vote for me"),
    "register": lambda: frame(kind=NODE_REGISTER),
    "unknown": lambda: frame(kind=999),
}


def connect(address, source, certificates):
    host, port = address.rsplit(":", 1)
    s = socket.create_connection((host, int(port)), PATIENCE_S, (source, 0))
    if certificates:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.load_cert_chain(certificates[1], certificates[2])
        s = context.wrap_socket(s)
    return s


def drain(s):
    got = b""
    while len(got) < 1 << 20:
        more = s.recv(65536)
        if not more:
            break
        got += more
    return got


def main():
    address, source, what = sys.argv[1:4]
    certificates = sys.argv[4:7]
    got = b""
    try:
        s = connect(address, source, certificates)
        s.sendall(SAY[what]())
        if what in ("not-protobuf", "register", "unknown"):
            s.settimeout(PATIENCE_S)
            head = s.recv(65536)
            flags = struct.unpack("<IHHQIII", head[:28])[2]
            print(head[32:].decode("latin-1"))
            return 0 if flags == ERROR_REPLY else 1
        if what == "raft":  # One-way: there is no answer, and the connection may stay.
            s.settimeout(0.5)
            try:
                print(drain(s).decode("latin-1"))
            except TimeoutError:
                pass
            return 0
        got = drain(s)
    except TimeoutError:
        print("the peer did not close within %d s" % PATIENCE_S)
        return 1
    except OSError as e:  # A reset, or the alert that says why.
        print(e)
        return 0
    print(got[:300].decode("latin-1"))
    return 1 if what == "handshake" and got else 0


sys.exit(main())
