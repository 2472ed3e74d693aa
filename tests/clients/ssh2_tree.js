// Sends a tree to a pod and brings it back, by node's ssh2. Names that are no UTF-8 are left out: its names
// are strings.
const fs = require('fs');
const path = require('path');
const { Client } = require('ssh2');

const [host, port, user, key, , tree, there, back] = process.argv.slice(2);

async function up(sftp, local, remote) {
  await sftp('mkdir', remote);
  for (const entry of fs.readdirSync(local, { withFileTypes: true })) {
    const [from, to] = [path.join(local, entry.name), `${remote}/${entry.name}`];
    if (entry.isSymbolicLink()) await sftp('symlink', fs.readlinkSync(from), to);
    else if (entry.isDirectory()) await up(sftp, from, to);
    else await sftp('fastPut', from, to);
  }
}

async function down(sftp, remote, local) {
  fs.mkdirSync(local);
  for (const { filename, attrs } of await sftp('readdir', remote)) {
    const [from, to] = [`${remote}/${filename}`, path.join(local, filename)];
    if (attrs.isSymbolicLink()) fs.symlinkSync(await sftp('readlink', from), to);
    else if (attrs.isDirectory()) await down(sftp, from, to);
    // Its fast way opens no empty file.
    else if (attrs.size === 0) fs.writeFileSync(to, '');
    else await sftp('fastGet', from, to);
  }
}

const client = new Client();
client.on('ready', () => client.sftp(async (error, session) => {
  try {
    if (error) throw error;
    const sftp = (name, ...words) => new Promise((done, failed) =>
      session[name](...words, (error, result) => (error ? failed(error) : done(result))));
    await up(sftp, tree, there);
    await down(sftp, there, back);
    client.end();
  } catch (error) {
    console.error(error);
    process.exit(1);
  }
}));
client.on('error', (error) => { console.error(error); process.exit(1); });
client.connect({ host, port: Number(port), username: user, privateKey: fs.readFileSync(key) });
