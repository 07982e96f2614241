#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Written from kcp/PROTOCOL.md alone. The program is a child, in the place of the stub: PEER_HELLO holds
members that its HELLO shall have, PEER_PHASES what it tells. With test-peer.py it is a host of our stub."""
import asyncio, json, os, socket, struct, sys
(HELLO, OPEN, CALL, ITEM, END, ERROR, CANCEL, CREDIT, STATUS, LOG, SPAN, SET,
 PING, PONG, GOODBYE) = range(1, 16)
PATH, DEADLINE, PARENT, SENT, CONTENT_TYPE = 1, 5, 6, 8, 0x82
SIZES, NO_REPLY, LIMIT = {DEADLINE: 4, PARENT: 8, SENT: 8}, 1, 16 << 20

class Failure(Exception):
    """Carries the body of an ERROR."""

class Link:
    """One of the two sockets. `sent` and `taken` count the frames that the field SENT is about."""
    def __init__(self, name, reader, writer):
        who = writer.get_extra_info('socket').getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        assert struct.unpack('3i', who)[1] == os.getuid(), 'another user on the other side'
        self.name, self.reader, self.writer, self.sent, self.taken = name, reader, writer, 0, 0
        self.pinged, self.ponged = asyncio.Event(), asyncio.Event()

    def send(self, kind, body=b'', call=0, fields={}, flags=0):
        values = {tag: value.to_bytes(SIZES[tag], 'little') if tag in SIZES else value.encode()
                  for tag, value in fields.items() if value is not None}
        head = b''.join(struct.pack('<BBH', tag, 0, len(value)) + value for tag, value in values.items())
        body = body if isinstance(body, bytes) else json.dumps(body, allow_nan=False).encode()
        self.writer.write(struct.pack('<IBBHQ', len(head + body), kind, flags, len(head), call) + head + body)
        self.sent += kind not in (HELLO, PING, PONG, CREDIT, CANCEL)

    async def take(self):
        size, kind, flags, length, call = struct.unpack('<IBBHQ', await self.reader.readexactly(16))
        assert length <= size <= LIMIT and flags <= (kind == CALL), 'wrong length or flags'
        assert (call > 0) == (CALL <= kind <= CREDIT), 'wrong id'
        fields, head = {}, await self.reader.readexactly(length)
        while head:
            tag, zero, width = struct.unpack('<BBH', head[:4])
            value, head = head[4:4 + width], head[4 + width:]
            assert zero == 0 and tag not in fields and len(value) == width, 'wrong field'
            assert SIZES.get(tag, width) == width and (tag < 0x80 or tag == CONTENT_TYPE), 'unusable field'
            fields[tag] = int.from_bytes(value, 'little') if tag in SIZES else value.decode()
        body = await self.reader.readexactly(size - length)
        self.taken += kind not in (HELLO, PING, PONG, CREDIT, CANCEL)
        return kind, flags, call, fields, body

    def hello(self, **members):
        self.send(HELLO, {'protocol': {'min': 1, 'max': 1}, 'program': 'peer.py 1', 'socket': self.name,
                          'features': [], 'limits': {'frame': LIMIT}, **members})

class Peer:
    """What both sides do: calls are served on one socket and made on the other."""
    def __init__(self, serves, makes):
        self.serves, self.makes, self.serving, self.answers, self.stopped = serves, makes, {}, {}, []
        self.links, self.news, self.stopping = (serves, makes), asyncio.Queue(), asyncio.Event()

    def call(self, path, body=b'', parent=None, deadline=None, flags=0):
        call = len(self.answers) + 1
        self.answers[call] = asyncio.Queue()
        self.makes.send(CALL, body, call, {PATH: path, PARENT: parent, DEADLINE: deadline}, flags)
        return call

    async def answer(self, call):
        try:
            kind, body = await self.answers[call].get()
        except asyncio.CancelledError:  # what nobody waits for is cancelled in turn
            self.makes.send(CANCEL, b'', call)
            raise
        if kind == ERROR:
            raise Failure(json.loads(body))
        return json.loads(body or 'null')

    async def serve(self, call, path, flags, fields, body):
        try:
            if self.stopping.is_set() and fields.get(PARENT) not in self.answers:
                raise Failure({'domain': 'kcp', 'code': 'stopping', 'message': 'takes no new calls'})
            kind, body = END, await getattr(self, 'do_' + path, self.nowhere)(call, fields, body)
        except Failure as failure:
            kind, body = ERROR, failure.args[0]
        except asyncio.CancelledError:
            return self.stopped.append(path)
        if not flags & NO_REPLY:
            sent = self.makes.sent if self.makes.name == 'callback' else None
            self.serves.send(kind, body, call, {SENT: sent})

    async def nowhere(self, *_): raise Failure({'domain': 'kcp', 'code': 'unknown-path', 'message': 'none'})

    async def listen(self, link):
        later = asyncio.get_running_loop().call_later
        while True:
            kind, flags, call, fields, body = await link.take()
            if kind == PING:
                link.send(PONG)
                link.pinged.set()
            elif kind == PONG:
                link.ponged.set()
            elif kind == CALL and link == self.serves and call > max(self.serving, default=0):
                self.serving[call] = asyncio.create_task(self.serve(call, fields[PATH], flags, fields, body))
                later(fields.get(DEADLINE, 1 << 31) / 1000, self.serving[call].cancel)
            elif kind == CANCEL and link == self.serves and call in self.serving:
                self.serving[call].cancel()
            elif kind in (ITEM, END, ERROR) and link == self.makes and call in self.answers:
                while self.serves.taken < fields.get(SENT, 0):
                    await asyncio.sleep(0)
                self.answers[call].put_nowait((kind, body))
            else:
                assert (link.name, kind) in self.expects, 'a frame in the wrong place'
                self.news.put_nowait(json.loads(body))

class Child(Peer):
    expects = ('request', OPEN), ('request', GOODBYE)
    async def do_echo(self, call, fields, body): return body
    async def do_fail(self, call, fields, body): raise Failure(json.loads(body))
    async def do_seen(self, call, fields, body): return {str(tag): fields[tag] for tag in sorted(fields)}
    async def do_never(self, *call): await asyncio.Event().wait()
    async def do_stopped(self, *call): return self.stopped
    async def do_pinged(self, *call): return await self.serves.pinged.wait()
    async def do_ping(self, *call): return [self.makes.send(PING) or await self.makes.ponged.wait()]
    async def do_ask(self, call, fields, body): return [await self.answer(self.call('ask', body, call))]
    async def do_tell(self, call, *_): [self.call('tell', n, call, None, NO_REPLY) for n in range(9)]
    async def do_last(self, *call): return await self.stopping.wait() and await self.do_ask(*call)
    async def do_count(self, call, fields, body):
        for n in range(json.loads(body)['to']):
            self.serves.send(ITEM, {'n': n + 1}, call)
            await asyncio.sleep(0, await self.serves.writer.drain())
        return {'count': n + 1}

    async def live(self, name):
        await self.news.get()
        handlers = [{'path': method[3:]} for method in dir(self) if method.startswith('do_')]
        for phase in os.environ.get('PEER_PHASES', 'ready').split():
            self.serves.send(STATUS, {'phase': phase, 'manifest': {'name': name, 'handlers': handlers}})
        grace = (await self.news.get())['grace_ms'] / 1000
        self.stopping.set()
        await asyncio.wait({asyncio.create_task(asyncio.sleep(0)), *self.serving.values()}, timeout=grace)
        for link in self.links:
            link.writer.close()
            await link.writer.wait_closed()
        sys.exit(0)

async def main():
    os.setpgid(0, 0)
    links = [Link(name, *await asyncio.open_unix_connection(os.environ.pop('KCP_%s_SOCKET' % name.upper())))
             for name in ('request', 'callback')]
    mine = {'side': 'child', 'pid': os.getpid(), 'token': os.environ.pop('KCP_TOKEN')}
    for link in links:
        assert (await link.take())[0] == HELLO, 'no HELLO'
        link.hello(**{**mine, **json.loads(os.environ.get('PEER_HELLO', '{}'))})
    child = Child(*links)
    await asyncio.gather(*map(child.listen, links), child.live(os.environ.pop('KCP_ACTOR_NAME')))

if __name__ == '__main__': asyncio.run(main())
