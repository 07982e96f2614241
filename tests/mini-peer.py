#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Both sides, from kcp/PROTOCOL.md alone: a child, or, as "mini-peer.py host STUB PLUGIN-DIR", a host.
PEER_HELLO: members for HELLO. It leaves deadlines to the caller, and ends at GOODBYE without grace."""
import json, os, secrets, select, socket, struct, subprocess, sys, tempfile
HELLO, OPEN, CALL, ITEM, END, ERROR, CANCEL, CREDIT, STATUS, LOG, _, _, PING, PONG, GOODBYE = range(1, 16)
PATH, PARENT, SENT, NO_REPLY, LIMIT, NAMES = 1, 6, 8, 1, 16 << 20, ('request', 'callback')

class Link:
    """One of the two sockets. `taken` counts the frames that the field SENT is about."""
    def __init__(self, name, side, connection, **more):
        pid, uid, _ = struct.unpack('3i', connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        assert uid == os.getuid(), 'another user on the other side'
        self.socket, self.fileno, self.pid, self.taken = connection, connection.fileno, pid, 0
        mine = {'protocol': {'min': 1, 'max': 1}, 'side': side, 'socket': name, 'pid': os.getpid(), **more,
                **json.loads(os.environ.get('PEER_HELLO', '{}'))}
        if side == 'host': self.send(HELLO, mine)
        kind, _, _, _, body = self.take()
        self.hello = json.loads(body)
        assert kind == HELLO and self.hello['side'] != side and self.hello['socket'] == name, 'a wrong HELLO'
        if side == 'child': self.send(HELLO, mine)
        here, there = mine['protocol'], self.hello['protocol']
        if max(here['min'], there['min']) > min(here['max'], there['max']):
            sys.exit('no common version: here %s, there %s' % (here, there))
    def send(self, kind, body=None, call=0, fields={}):
        head = b''.join(struct.pack('<BBH', tag, 0, len(value)) + value for tag, value in fields.items())
        body = b'' if body is None else json.dumps(body, allow_nan=False).encode()
        self.socket.sendall(struct.pack('<IBBHQ', len(head + body), kind, 0, len(head), call) + head + body)
    def read(self, size):
        data = self.socket.recv(size, socket.MSG_WAITALL)
        return data if len(data) == size else sys.exit('the other side has closed')
    def take(self):
        size, kind, flags, length, call = struct.unpack('<IBBHQ', self.read(16))
        assert length <= size <= LIMIT and flags <= (kind == CALL) and (call > 0) == (CALL <= kind <= CREDIT)
        fields, head = {}, self.read(length)
        while head:
            tag, zero, width = struct.unpack('<BBH', head[:4])
            assert zero == 0 and tag < 0x80 and tag not in fields and 4 + width <= len(head), 'wrong field'
            fields[tag], head = head[4:4 + width], head[4 + width:]
        self.taken += kind not in (HELLO, PING, PONG, CREDIT, CANCEL)
        return kind, flags, call, fields, self.read(size - length)

class Peer:
    """What both sides do. A handler returns its answer; one that goes on takes turns meanwhile."""
    def __init__(self, serves, makes, *handlers):
        self.serves, self.makes, self.handlers = serves, makes, {each.__name__: each for each in handlers}
        self.last, self.counting, self.cancelled = 0, 0, set()
        self.answers, self.heard = {}, {kind: [] for kind in (OPEN, STATUS, LOG)}
    def call(self, path, body=None, fields={}):
        call = len(self.answers) + 1
        self.answers[call] = []
        self.makes.send(CALL, body, call, {PATH: path.encode(), **fields})
        return call
    def wait(self, queue):
        while not queue: self.turn()
        return queue.pop(0)
    def turn(self, patience=None):
        for link in select.select((self.serves, self.makes), (), (), patience)[0]: self.take(link)
    def take(self, link):
        kind, flags, call, fields, body = link.take()
        if kind == PING: link.send(PONG)
        elif kind == CALL and link == self.serves and call > self.last:
            self.last = call
            self.serve(call, flags, fields[PATH].decode(), body)
        elif kind == CANCEL and link == self.serves and call <= self.last: self.cancelled.add(call)
        elif kind in (ITEM, END, ERROR) and link == self.makes and call in self.answers:
            while self.serves.taken < int.from_bytes(fields.get(SENT, b''), 'little'): self.take(self.serves)
            self.answers[call].append((kind, json.loads(body or 'null')))
        elif kind == GOODBYE: sys.exit(0)
        else: self.heard[kind].append(json.loads(body))
    def serve(self, call, flags, path, body):
        kind, answer = ERROR, {'domain': 'kcp', 'code': 'unknown-path', 'message': 'nothing serves ' + path}
        if path in self.handlers:
            kind, answer = self.handlers[path](self, call, json.loads(body or 'null'))
        if not flags & NO_REPLY and call not in self.cancelled: self.serves.send(kind, answer, call)

def echo(peer, call, body): return END, body
def running(peer, call, body): return END, {'running': peer.counting}
def count(peer, call, body):
    peer.counting, n = peer.counting + 1, 0
    while n < body['to'] and call not in peer.cancelled:
        n += 1
        peer.serves.send(ITEM, {'n': n}, call)
        peer.turn(0)
    peer.counting -= 1
    return END, {'count': n}
def ask(peer, call, body):
    asked = peer.call(body['path'], body.get('body'), {PARENT: struct.pack('<Q', call)})
    while not peer.answers[asked]:
        if call in peer.cancelled: return END, peer.makes.send(CANCEL, None, asked)
        peer.turn()
    kind, answer = peer.answers[asked][0]
    return kind, {'answer': answer} if kind == END else answer

def child():
    os.setpgid(0, 0)
    token, name, *paths = [os.environ.pop('KCP_' + each) for each in
                           ('TOKEN', 'ACTOR_NAME', 'REQUEST_SOCKET', 'CALLBACK_SOCKET')]
    connections = [socket.socket(socket.AF_UNIX) for _ in paths]
    [each.connect(path) for each, path in zip(connections, paths)]
    peer = Peer(*[Link(*each, token=token) for each in zip(NAMES, ('child', 'child'), connections)],
                echo, running, count, ask)
    peer.wait(peer.heard[OPEN])
    manifest = {'name': name, 'handlers': [{'path': path} for path in peer.handlers]}
    peer.serves.send(STATUS, {'phase': 'ready', 'manifest': manifest})
    while True: peer.turn()

def talk(peer, plugin):
    def next_of(call): return peer.wait(peer.answers[call])
    def answer(*call): return next_of(peer.call(*call))
    if plugin == 'echo':
        assert answer('echo', [1, 'ż']) == (END, [1, 'ż']) and answer('nowhere')[0] == ERROR
        print('made a call')
    elif plugin == 'ask':
        assert answer('ask', {'path': 'echo', 'body': 7}) == (END, {'answer': 7})
        print('answered a callback')
    else:
        call = peer.call('count', {'to': 2})
        assert [next_of(call) for _ in range(3)] == [(ITEM, {'n': 1}), (ITEM, {'n': 2}), (END, {'count': 2})]
        call = peer.call('count', {'to': 1 << 62})
        assert next_of(call) == (ITEM, {'n': 1}) and answer('running') == (END, {'running': 1})
        peer.makes.send(CANCEL, None, call)
        while answer('running') != (END, {'running': 0}): pass
        print('read a stream, cancelled another')

def host(stub, plugins, plugin):
    with tempfile.TemporaryDirectory() as directory:    # of mode 0700
        token, listeners, links = secrets.token_hex(16), [socket.socket(socket.AF_UNIX) for _ in NAMES], []
        environment = {**os.environ, 'KCP_TOKEN': token, 'KCP_ACTOR_NAME': plugin}
        for name, listener in zip(NAMES, listeners):
            environment['KCP_%s_SOCKET' % name.upper()] = directory + '/' + name
            listener.bind(directory + '/' + name)
            listener.listen()
        process = subprocess.Popen([stub], env=environment)
        for name, listener in zip(NAMES, listeners):
            try: links.append(Link(name, 'host', listener.accept()[0]))
            except SystemExit as refusal:   # the sockets stay open: the stub has to see it for itself
                print('refused by both, status %d: %s' % (process.wait(), refusal))
                sys.exit(process.returncode == 0)
            assert links[-1].pid == process.pid and links[-1].hello['token'] == token, 'not the child'
    peer = Peer(links[1], links[0], echo)
    peer.makes.send(OPEN, {'plugin': '%s/%s.so' % (plugins, plugin)})
    while peer.wait(peer.heard[STATUS])['phase'] != 'ready': pass
    talk(peer, plugin)
    peer.makes.send(GOODBYE, {'grace_ms': 10000})
    assert process.wait() == 0
    print('said GOODBYE to', plugin)

if len(sys.argv) == 1: child()
for each in 'echo', 'count', 'ask': host(*sys.argv[2:], each)
