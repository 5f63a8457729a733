// npm's ssh2 as an ordinary client: runs a command, and moves a file there and back.
'use strict';
const fs = require('fs');
const assert = require('assert');
const [ssh2, port, username, key, place] = process.argv.slice(1);
const { Client } = require(ssh2);

const config = { host: '127.0.0.1', port: Number(port), username, privateKey: fs.readFileSync(key) };

const wait = (call) => new Promise((done, fail) => call((error, value) => (error ? fail(error) : done(value))));

async function main(client) {
  const channel = await wait((tell) => client.exec('printf out; printf err >&2; cat; exit 7', tell));
  const said = { out: '', err: '' };
  channel.on('data', (data) => (said.out += data));
  channel.stderr.on('data', (data) => (said.err += data));
  const status = new Promise((done) => channel.on('exit', done));
  const closed = new Promise((done) => channel.on('close', done));
  channel.end('given');
  assert.strictEqual(await status, 7);
  await closed;
  assert.deepStrictEqual(said, { out: 'outgiven', err: 'err' });
  fs.writeFileSync(`${place}/up`, Buffer.alloc(100000, 'x'));
  const sftp = await wait((tell) => client.sftp(tell));
  await wait((tell) => sftp.fastPut(`${place}/up`, `${place}/there`, tell));
  await wait((tell) => sftp.fastGet(`${place}/there`, `${place}/back`, tell));
  assert.ok(fs.readFileSync(`${place}/back`).equals(Buffer.alloc(100000, 'x')));
  client.end();
  console.log('done');
}

const client = new Client();
client.on('error', (error) => { console.error(error.message); process.exit(1); });
client.on('ready', () => main(client).catch((error) => { console.error(error); process.exit(1); }));
client.connect(config);
