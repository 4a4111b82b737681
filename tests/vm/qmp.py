#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Speaks QMP, QEMU's control protocol, on a Unix socket; every wait has a deadline.

qmp.py SOCKET COMMAND [NAME=VALUE]... [--event NAME] prints the command's answer as JSON, after the
event of that name where one is asked for, such as device_del id=card0 --event DEVICE_DELETED.
"""
import argparse
import json
import socket
import sys
import time


class QmpFault(Exception):
    """QEMU refused, hung up, or did not answer in time."""


class Qmp:
    """One connection; one command at a time."""

    def __init__(self, path, timeout_s=10):
        self.deadline = time.monotonic() + timeout_s
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.pending = b""
        self.events = []
        self._try(lambda: self.socket.connect(str(path)))
        if "QMP" not in self._message():
            raise QmpFault(f"{path}: this is no QMP")
        self.command("qmp_capabilities", timeout_s=timeout_s)

    def close(self):
        self.socket.close()

    def _try(self, action):
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise QmpFault("QEMU has not answered in time")
        self.socket.settimeout(left)
        try:
            return action()
        except OSError as error:
            raise QmpFault(str(error) or "QEMU has not answered in time") from error

    def _message(self):
        while b"\n" not in self.pending:
            data = self._try(lambda: self.socket.recv(65536))
            if not data:
                raise QmpFault("QEMU has hung up")
            self.pending += data
        line, self.pending = self.pending.split(b"\n", 1)
        try:
            return json.loads(line)
        except ValueError as error:
            raise QmpFault(f"QEMU said what is no JSON: {line[:80]!r}") from error

    def command(self, name, arguments=None, timeout_s=10):
        """The command's answer. Events that come before it are kept for event()."""
        self.deadline = time.monotonic() + timeout_s
        request = {"execute": name, "arguments": arguments or {}}
        self._try(lambda: self.socket.sendall(json.dumps(request).encode() + b"\n"))
        while True:
            message = self._message()
            if "event" in message:
                self.events.append(message)
            elif "error" in message:
                raise QmpFault(f"{name}: {message['error'].get('desc', 'refused')}")
            elif "return" in message:
                return message["return"]

    def event(self, name, device=None, timeout_s=30):
        """Waits for an event of that name, of that device where one is given."""
        self.deadline = time.monotonic() + timeout_s
        while True:
            for message in self.events:
                data = message.get("data", {})
                if message["event"] == name and device in (None, data.get("device")):
                    self.events.remove(message)
                    return data
            message = self._message()
            if "event" in message:
                self.events.append(message)


def main():
    parser = argparse.ArgumentParser(prog="qmp.py", description=__doc__.splitlines()[0])
    parser.add_argument("socket")
    parser.add_argument("command")
    parser.add_argument("argument", nargs="*", metavar="NAME=VALUE")
    parser.add_argument("--event", help="then wait for this event")
    parser.add_argument("--timeout", type=float, default=30, metavar="SECONDS")
    args = parser.parse_args()
    try:
        qmp = Qmp(args.socket, args.timeout)
        arguments = dict(argument.split("=", 1) for argument in args.argument)
        answer = qmp.command(args.command, arguments, args.timeout)
        if args.event:
            qmp.event(args.event, timeout_s=args.timeout)
        print(json.dumps(answer))
    except (QmpFault, ValueError) as error:
        print(f"qmp.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
