"""Just enough of libvirt's protocol to crash many guests of the test driver quickly. (`virsh dump` waits for ever now and then.)"""
import socket
import struct
import uuid

PROGRAM = 0x20008086
OPEN, CORE_DUMP, AUTH_LIST = 1, 53, 66
CRASH = 1


def text(value):
    data = value.encode()
    return struct.pack(">I", len(data)) + data + b"\0" * (-len(data) % 4)


class Wire:
    def __init__(self, path, name):
        self.socket, self.serial = socket.socket(socket.AF_UNIX), 0
        self.socket.settimeout(30)
        self.socket.connect(path)
        self.call(AUTH_LIST)
        self.call(OPEN, struct.pack(">I", 1) + text(name) + struct.pack(">I", 0))

    def exactly(self, length):
        data = b""
        while len(data) < length:
            more = self.socket.recv(length - len(data))
            if not more:
                raise RuntimeError("libvirtd closed the connection")
            data += more
        return data

    def call(self, procedure, body=b""):
        self.serial += 1
        self.socket.sendall(struct.pack(">IIIiIII", 28 + len(body), PROGRAM, 1, procedure, 0, self.serial, 0) + body)
        while True:
            length, program, _, procedure, kind, serial, status = struct.unpack(">IIIiIII", self.exactly(28))
            body = self.exactly(length - 28)
            if program == PROGRAM and kind == 1 and serial == self.serial:
                if status:
                    raise RuntimeError("libvirtd refused: %r" % body[:200])
                return body

    def crash(self, name, made):
        """The guest crashes: its event is `Stopped Crashed`."""
        domain = text(name) + uuid.UUID(made).bytes + struct.pack(">i", 1)
        self.call(CORE_DUMP, domain + text("/dev/null") + struct.pack(">I", CRASH))

    def close(self):
        self.socket.close()
