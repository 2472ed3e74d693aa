// What open-remote-ssh (Cursor, Windsurf, VSCodium) asks of a connection, in its order, with the library that it
// uses. AGENT names an agent's socket, which is then forwarded.
const assert = require('assert');
const fs = require('fs');
const {Client} = require('ssh2');

const [host, port, user, key, known, inside, there] = process.argv.slice(2);
const agent = process.env.AGENT;
const lines = fs.readFileSync(known, 'utf8').split('\n');
const expected = lines.map((line) => line.split(' ')[2]).filter(Boolean);
const client = new Client();

const end = (error) => {
  console.error(error);
  process.exit(1);
};

const execute = (command) => new Promise((resolve, reject) => {
  client.exec(command, (error, stream) => {
    if (error) return reject(error);
    let out = '';
    let wrong = '';
    stream.on('close', (code) => resolve({out, wrong, code}));
    stream.on('data', (data) => { out += data; });
    stream.stderr.on('data', (data) => { wrong += data; });
  });
});

const request = (stream) => new Promise((resolve) => {
  let answer = '';
  stream.on('data', (data) => { answer += data; });
  stream.on('end', () => stream.end());
  stream.on('close', () => resolve(answer));
  stream.write('GET /version HTTP/1.0\r\n\r\n');
});

const forward = (address, to) => new Promise((resolve, reject) => {
  client.forwardOut('127.0.0.1', 0, address, to, (error, stream) => {
    error ? reject(error) : resolve(stream);
  });
});

const script = [
  'id=abc123',
  'TMP_DIR=${XDG_RUNTIME_DIR:-/tmp}',
  'mkdir -p "$HOME/.server" || exit 1',
  'echo "$id: start"',
  'echo "exitCode==0=="',
  `echo "listeningOn==${there}=="`,
  'echo "arch==$(uname -m)=="',
  'echo "shell==$0=="',
  '(nohup sleep 7431 >/dev/null 2>&1 &)',
  'echo "$id: end"',
  'exit 0',
].join('\n');

async function connected() {
  if (agent) {
    // Held open for as long as the window is.
    const socket = await new Promise((resolve, reject) => {
      client.exec('echo "$SSH_AUTH_SOCK"; exec cat', (error, stream) => {
        error ? reject(error) : stream.on('data', (data) => resolve(String(data)));
      });
    });
    assert(socket.trim().startsWith('/'), socket);
  }
  const {out} = await execute('uname -s');
  assert.strictEqual(out, 'Linux\n');
  const encoded = Buffer.from(script).toString('base64');
  const installed = await execute(`echo ${encoded} | base64 -d | bash -l`);
  assert.strictEqual(installed.code, 0, installed.wrong);
  const result = /abc123: start\n([^]*)abc123: end/.exec(installed.out);
  assert(result, installed.out);
  const listening = /listeningOn==(\d+)==/.exec(result[1]);
  const at = Number(listening[1]);
  // A window has several connections at a time.
  const streams = await Promise.all(Array.from({length: 8}, () => forward(inside, at)));
  for (const answer of await Promise.all(streams.map(request))) {
    assert(answer.endsWith('from the pod\n'), answer);
  }
  const refused = await forward('127.0.0.1', 1).then(() => null, (error) => error);
  assert(refused && refused.reason === 2, String(refused));
  assert((await request(await forward(inside, at))).endsWith('from the pod\n'));
  client.end();
}

client.on('ready', () => connected().catch(end));
client.on('error', end);
client.connect({
  host,
  port: Number(port),
  username: user,
  privateKey: fs.readFileSync(key),
  hostVerifier: (found) => expected.includes(found.toString('base64')),
  strictVendor: false,
  agent,
  agentForward: Boolean(agent),
});
