#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A host of the real stub and real plugins, which knows kcp only by its protocol.

The classes are those of peer.py. KCP_STUB is the stub, KCP_TEST_PLUGINS the directory of the plugins."""
import asyncio, functools, json, os, shutil, struct, sys, tempfile, traceback

sys.dont_write_bytecode = True
from peer import (CALL, CANCEL, CREDIT, END, GOODBYE, HELLO, ITEM, LOG, NO_REPLY, OPEN, PING, SET, STATUS,
                  Failure, Link, Peer)

GUARD = 60      # seconds; only what hangs needs so many
STUB, PLUGINS = os.environ['KCP_STUB'], os.environ['KCP_TEST_PLUGINS']
TOKEN = '0123456789abcdef' * 2
OWN_ERROR = {'domain': 'peer-quark', 'code': -7, 'message': 'not today'}

class Host(Peer):
    """The host's part; what a plugin may ask it is in the do_… methods."""
    expects = ('request', STATUS), ('callback', LOG)

    def __init__(self, request, callback):
        super().__init__(serves=callback, makes=request)
        self.told, self.waiting, self.release = [], asyncio.Queue(), asyncio.Event()

    async def do_echo(self, call, fields, body):
        return body

    async def do_fail(self, *_):
        raise Failure(OWN_ERROR)

    async def do_tell(self, call, fields, body):
        self.told.append(json.loads(body))

    async def do_stream(self, call, fields, body):
        for item in (1, 'two'):
            self.serves.send(ITEM, item, call)
        return True

    async def do_nest(self, call, fields, body):
        return await self.ask('nest', {'depth': json.loads(body)['depth'] - 1}, call)

    async def do_wait(self, call, *_):
        self.waiting.put_nowait(call)
        await self.release.wait()

    async def ask(self, *arguments):
        """One answer."""
        return await self.answer(self.call(*arguments))

    async def fails(self, *arguments):
        """The body of the ERROR."""
        try:
            answer = await self.ask(*arguments)
        except Failure as failure:
            return failure.args[0]
        raise AssertionError('an answer instead of an error: %s' % answer)

    async def until(self, path, expected):
        while await self.ask(path) != expected:
            pass

def plugin_path(name):
    return '%s/%s.so' % (PLUGINS, name)

def open_body(plugin, **more):
    return {'plugin': plugin_path(plugin), 'config': [], 'log_level': 'message', 'call_timeout_ms': 0,
            'grace_ms': 2000, 'core_dumps': 0, **more}

class Stub:
    """The process and what joins it. `greet` says HELLO, which a host does on each socket at once."""
    def __init__(self, greet):
        self.greet, self.links, self.listening = greet, {}, []

    def connected(self, name, reader, writer):
        link = Link(name, reader, writer)
        self.greet(link)
        self.links[name].set_result(link)

    async def __aenter__(self):
        self.directory = tempfile.mkdtemp()     # of mode 0700
        # With LD_DEBUG its stderr tells afterwards what was loaded into it.
        environment = {**os.environ, 'KCP_TOKEN': TOKEN, 'KCP_ACTOR_NAME': 'tested', 'LD_DEBUG': 'files'}
        for name in 'request', 'callback':
            path = environment['KCP_%s_SOCKET' % name.upper()] = self.directory + '/' + name
            self.links[name] = asyncio.get_running_loop().create_future()
            await asyncio.start_unix_server(functools.partial(self.connected, name), path)
        with open(self.directory + '/stderr', 'wb') as stderr:
            self.process = await asyncio.create_subprocess_exec(STUB, env=environment, stderr=stderr)
        return self

    async def __aexit__(self, *_):
        if self.process.returncode is None:
            self.process.kill()
            await self.process.wait()
        await self.deafen()
        for link in self.links.values():
            if link.done():
                link.result().writer.close()
        shutil.rmtree(self.directory)

    async def deafen(self):
        """Leaves the sockets to the test."""
        for task in self.listening:
            task.cancel()
        await asyncio.gather(*self.listening, return_exceptions=True)

    async def join(self):
        """Takes HELLO on both sockets, and is a host from then on."""
        for name, link in self.links.items():
            kind, _, _, _, body = await (await link).take()
            hello = json.loads(body)
            assert kind == HELLO and hello['side'] == 'child' and hello['socket'] == name
            assert hello['token'] == TOKEN and hello['pid'] == self.process.pid
            assert hello['protocol'] == {'min': 1, 'max': 1} and hello['program'] and {'credit', 'fds'} <= set(hello['features'])
        self.host = Host(*[link.result() for link in self.links.values()])
        self.listening = [asyncio.ensure_future(self.host.listen(link)) for link in self.host.links]

    async def start(self, plugin):
        """Gives the manifest and the phases before it."""
        await self.join()
        self.host.makes.send(OPEN, open_body(plugin))
        phases = []
        while True:
            status = await self.host.news.get()
            assert 'error' not in status, status
            phases.append(status['phase'])
            if status['phase'] == 'ready':
                return status['manifest'], phases

    def loaded(self, name):
        with open(self.directory + '/stderr', encoding='utf-8') as stderr:
            return name in stderr.read()

    async def stop(self):
        """GOODBYE, and a good end."""
        self.host.makes.send(GOODBYE, {'grace_ms': 1000 * GUARD})
        assert await self.process.wait() == 0
        for ended in await asyncio.gather(*self.listening, return_exceptions=True):
            assert isinstance(ended, asyncio.IncompleteReadError) and not ended.partial, ended

    async def refuses(self):
        """The end of a stub that was told nonsense: it has loaded nothing."""
        assert await self.process.wait() != 0
        assert not self.loaded(plugin_path('echo'))

# ---- as it should be ----

async def test_start(stub):
    manifest, phases = await stub.start('echo')
    assert phases == ['opening', 'symbols', 'starting', 'ready'], phases
    assert manifest['name'] == 'echo' and manifest['any_path'] is False
    assert [handler['path'] for handler in manifest['handlers']] == ['echo']
    with open('/proc/%d/environ' % stub.process.pid, 'rb') as environ:
        assert TOKEN.encode() not in environ.read()
    assert os.getpgid(stub.process.pid) == stub.process.pid
    assert stub.loaded(plugin_path('echo'))
    await stub.stop()

async def start_error(stub, opening):
    """The error of a start that fails."""
    await stub.join()
    stub.host.makes.send(OPEN, opening)
    status = await stub.host.news.get()
    while 'error' not in status:
        status = await stub.host.news.get()
    assert await stub.process.wait() != 0
    assert status['error']['domain'] == 'kcp', status
    return status['phase'], status['error']['code'], status['error']['message']

async def test_start_fails(stub):
    phase, code, message = await start_error(stub, open_body('no-such-plugin'))
    assert (phase, code) == ('opening', 'plugin-load') and 'no-such-plugin' in message, (phase, code, message)

async def test_start_refused(stub):
    phase, code, message = await start_error(stub, open_body('echo', config=[['key', 'value']]))
    assert (phase, code) == ('starting', 'invalid-argument') and 'key' in message, (phase, code, message)

async def test_open_type(stub):
    phase, code, message = await start_error(stub, {'plugin': 7})
    assert 'plugin' in message, (phase, code, message)

async def test_echo(stub):
    await stub.start('echo')
    for body in None, [], {'ż': [1, {'b': None}], '': -1.5}, 'x' * (3 << 20), '😀', (1 << 63) - 1:
        assert await stub.host.ask('echo', body) == body
    assert await stub.host.ask('echo', b'') is None
    error = await stub.host.fails('nirgends')
    assert (error['domain'], error['code']) == ('kcp', 'unknown-path'), error
    for bad in (b'{"a":', b'[1]]', b'{"a":1,"a":2}', b'9223372036854775808', b'1e999', b'"\\u0000"',
                b'"\\ud800"', b'\xff', b'\xef\xbb\xbf1', b'[' * 129 + b']' * 129):
        error = await stub.host.fails('echo', bad)
        assert (error['domain'], error['code']) == ('kcp', 'invalid-message'), error
    stub.host.call('echo', 1, flags=NO_REPLY)
    assert await stub.host.ask('echo', 2) == 2 and stub.host.answers[len(stub.host.answers) - 1].empty()
    await stub.stop()

async def test_stream(stub):
    await stub.start('count')
    host = stub.host
    call = host.call('count', {'to': 3})
    assert [await host.answer(call) for _ in range(4)] == [{'n': 1}, {'n': 2}, {'n': 3}, {'count': 3}]
    call = host.call('count', {'to': (1 << 63) - 1})
    assert [await host.answer(call) for _ in range(100)] == [{'n': n + 1} for n in range(100)]
    assert await host.ask('running') == {'running': 1}
    host.makes.send(CANCEL, b'', call)
    await host.until('running', {'running': 0})
    error = await host.fails('count', {'to': 'x'})
    assert (error['domain'], error['code']) == ('kcp', 'invalid-argument'), error
    await stub.stop()

async def test_deadline(stub):
    """The child keeps it too: this host sends no CANCEL."""
    await stub.start('count')
    call = stub.host.call('count', {'to': 2, 'every_ms': 86400000}, None, 100)
    assert await stub.host.answer(call) == {'n': 1}
    await stub.host.until('running', {'running': 0})
    await stub.stop()

async def test_ping(stub):
    await stub.start('echo')
    for link in stub.host.links:
        link.send(PING)
        await link.ponged.wait()
    await stub.stop()

async def test_callback(stub):
    await stub.start('ask')
    for path in 'ask', 'ask-blocking':
        assert await stub.host.ask(path, {'path': 'echo', 'body': [1]}) == {'answer': [1]}
        assert await stub.host.fails(path, {'path': 'fail'}) == OWN_ERROR
        error = await stub.host.fails(path, {'path': 'nirgends'})
        assert (error['domain'], error['code']) == ('kcp', 'unknown-path'), error
    answer = await stub.host.ask('collect', {'path': 'stream'})
    assert answer == {'items': [1, 'two'], 'result': True}, answer
    for n in range(20):
        assert await stub.host.ask('tell', {'path': 'tell', 'body': n}) == {'told': 'tell'}
        assert stub.host.told[-1] == n, 'the answer has overtaken what was told before it'
    answer = await stub.host.ask('nest', {'depth': 8})
    for depth in range(8, -1, -1):
        assert answer['depth'] == depth
        answer = answer.get('inner')
    await stub.stop()

async def test_goodbye(stub):
    """What is under way is finished, with all that belongs to it; what is new is refused."""
    await stub.start('ask')
    host = stub.host
    outer = host.call('ask', {'path': 'wait'})
    callback = await host.waiting.get()
    host.makes.send(GOODBYE, {'grace_ms': 1000 * GUARD})
    error = await host.fails('nest', {'depth': 0})
    assert (error['domain'], error['code']) == ('kcp', 'stopping'), error
    assert await host.ask('nest', {'depth': 0}, callback) == {'depth': 0}
    host.release.set()
    assert await host.answer(outer) == {'answer': None}
    assert await stub.process.wait() == 0

async def test_goodbye_grace(stub):
    """A call that is not done by then does not hold up the end."""
    await stub.start('count')
    call = stub.host.call('count', {'to': 2, 'every_ms': 86400000})
    assert await stub.host.answer(call) == {'n': 1}
    stub.host.makes.send(GOODBYE, {'grace_ms': 100})
    assert await stub.process.wait() == 0

async def test_host_gone(stub):
    await stub.start('count')
    assert await stub.host.answer(stub.host.call('count', {'to': (1 << 63) - 1})) == {'n': 1}
    for link in stub.host.links:
        link.writer.close()
    await stub.process.wait()

# ---- a wrong HELLO ----

def greeting(sockets=('request', 'callback'), eager=True, **members):
    """Says HELLO with these members on these sockets, and OPEN behind it at once."""
    def greet(link):
        link.hello(**{'side': 'host', **(members if link.name in sockets else {})})
        if eager and link.name == 'request':
            link.send(OPEN, open_body('echo'))
    return greet

def saying(data):
    return lambda link: link.writer.write(data) or link.send(OPEN, open_body('echo'))

async def test_refused(stub):
    await stub.refuses()

async def test_version(stub):
    """The child answers, so that the host can tell both ranges; then it goes."""
    kind, _, _, _, body = await (await stub.links['request']).take()
    assert kind == HELLO and json.loads(body)['protocol'] == {'min': 1, 'max': 1}, body
    await stub.refuses()

async def test_newer(stub):
    """A host that speaks more than the child does, and says more."""
    await stub.start('echo')
    assert await stub.host.ask('echo', 1) == 1
    await stub.stop()

# ---- what ends the link ----

def frame(kind, body=b'', call=0, fields=b'', flags=0):
    return struct.pack('<IBBHQ', len(fields + body), kind, flags, len(fields), call) + fields + body

def field(tag, data, zero=0):
    return struct.pack('<BBH', tag, zero, len(data)) + data

ECHO = field(1, b'echo')
BREACHES = {
    'unknown-kind': frame(16),
    'kind-0': frame(0),
    'flag': frame(CALL, b'1', 9, ECHO, 2),
    'ping-flag': frame(PING, flags=1),
    'call-without-id': frame(CALL, b'1', 0, ECHO),
    'ping-with-id': frame(PING, call=9),
    'too-long': struct.pack('<IBBHQ', (16 << 20) + 1, CALL, 0, 8, 9),
    'fields-longer': struct.pack('<IBBHQ', 4, CALL, 0, 8, 9) + ECHO,
    'field-beyond': frame(CALL, b'', 9, ECHO + b'\3\0\1\0'),
    'half-a-field': frame(CALL, b'', 9, ECHO + b'\3\0'),
    'reserved': frame(CALL, b'', 9, field(1, b'echo', 1)),
    'twice': frame(CALL, b'', 9, ECHO + ECHO),
    'deadline-size': frame(CALL, b'', 9, ECHO + field(5, bytes(8))),
    'field-not-allowed': frame(CANCEL, b'', 1, field(5, bytes(4))),
    'no-path': frame(CALL, b'', 9),
    'empty-path': frame(CALL, b'', 9, field(1, b'')),
    'bad-path': frame(CALL, b'', 9, field(1, b'\xff')),
    'control-path': frame(CALL, b'', 9, field(1, b'a\n')),
    'long-path': frame(CALL, b'', 9, field(1, b'x' * 256)),
    'must-be-understood': frame(CALL, b'', 9, ECHO + field(0x83, b'')),
    'sent-on-call': frame(CALL, b'', 9, ECHO + field(8, bytes(8))),
    'descriptors': frame(CALL, b'', 9, ECHO + field(0x81, bytes(2))),
    'credit': frame(CREDIT, b'', 1, field(7, bytes(8))),
    'set': frame(SET, b'{}'),
    'status': frame(STATUS, b'{"phase":"ready"}'),
    'log': frame(LOG, b'{"level":"info","message":"x"}'),
    'hello-again': frame(HELLO, b'{}'),
    'open-again': frame(OPEN, json.dumps(open_body('echo')).encode()),
    'goodbye-no-object': frame(GOODBYE, b'[]'),
    'goodbye-type': frame(GOODBYE, b'{"grace_ms":"x"}'),
    'ping-body': frame(PING, b'1'),
    'cancel-body': frame(CANCEL, b'1', 1),
    'cancel-unknown': frame(CANCEL, b'', 9),
    'answer-unknown': frame(END, b'1', 9),
    'old-id': frame(CALL, b'1', 1, ECHO),
}

def breach(data):
    async def test(stub):
        await stub.start('echo')
        assert await stub.host.ask('echo', 1) == 1
        await stub.deafen()
        stub.host.makes.writer.write(data)
        for link in stub.host.links:
            await link.reader.read()
        assert await stub.process.wait() != 0
    return test

async def test_tolerated(stub):
    """What looks wrong and is not."""
    await stub.start('echo')
    host = stub.host
    for fields in ({0x7f: 'x'}, {2: 'nonsense'}, {3: '==='}, {4: ','}):
        call = len(host.answers) + 1
        host.answers[call] = asyncio.Queue()
        host.makes.send(CALL, 1, call, {1: 'echo', **fields})
        assert await host.answer(call) == 1
    host.makes.send(CANCEL, b'', call)      # it has crossed the answer
    assert await host.ask('echo', 2) == 2
    await stub.stop()

# ---- TAP ----

RIGHT, VERSION = greeting(eager=False), {'protocol': {'min': 2, 'max': 3}}
TESTS = [(test.__name__[5:].replace('_', '-'), test, RIGHT) for test in (
    test_start, test_start_fails, test_start_refused, test_open_type, test_echo, test_stream, test_deadline,
    test_ping, test_callback, test_goodbye, test_goodbye_grace, test_host_gone, test_tolerated)]
TESTS += [('breach/' + name, breach(data), RIGHT) for name, data in BREACHES.items()]
TESTS += [
    ('newer', test_newer, greeting(eager=False, protocol={'min': 1, 'max': 9}, features=['a'], more=[None])),
    ('refused/version', test_version, greeting(eager=False, **VERSION)),
    ('refused/version/eager', test_refused, greeting(**VERSION)),
    ('refused/version/callback', test_refused, greeting(['callback'], **VERSION)),
    ('refused/side', test_refused, greeting(side='child')),
    ('refused/socket', test_refused, greeting(socket='callback')),
    ('refused/socket/callback', test_refused, greeting(['callback'], socket='request')),
    ('refused/protocol', test_refused, greeting(protocol=1)),
    ('refused/limits', test_refused, greeting(limits=[])),
    ('refused/no-object', test_refused, saying(frame(HELLO, b'[]'))),
    ('refused/no-json', test_refused, saying(frame(HELLO, b'{'))),
    ('refused/too-long', test_refused, saying(struct.pack('<IBBHQ', 65537, HELLO, 0, 0, 0))),
    ('refused/another-frame', test_refused, saying(frame(PING))),
    ('refused/garbage', test_refused, saying(b'GET / HTTP/1.1\r\n\r\n')),
]

async def run(test, greet):
    async with Stub(greet) as stub:
        await asyncio.wait_for(test(stub), GUARD)

def main():
    chosen = [row for row in TESTS if row[0] in sys.argv[1:] or not sys.argv[1:]]
    print('1..%d' % len(chosen), flush=True)
    failed = False
    for number, (name, test, greet) in enumerate(chosen, 1):
        try:
            asyncio.run(run(test, greet))
            print('ok %d - %s' % (number, name), flush=True)
        except Exception:
            failed = True
            print(''.join('# ' + line + '\n' for line in traceback.format_exc().splitlines()), end='')
            print('not ok %d - %s' % (number, name), flush=True)
    sys.exit(failed)

if __name__ == '__main__':
    main()
