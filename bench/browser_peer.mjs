// asciinema-player over the same recording as an asciicast, beside bench/browser.mjs: how long until it can show a
// moment, how long a seek takes, and what memory that is.
//
//     ASCIINEMA_PLAYER=node_modules/asciinema-player CAST=day.cast SEEKS=20 node bench/browser_peer.mjs
//
// Prints one line of JSON; `failed` is what the page said where the player could not load the file.
import { createReadStream, readFileSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { memory } from './browser_memory.mjs';

const { ASCIINEMA_PLAYER, CAST, SEEKS = '20', CHROMIUM = '/usr/bin/chromium' } = process.env;
const { chromium } = createRequire(new URL('../web/package.json', import.meta.url))('playwright-core');

/** Longest anything may take, milliseconds. */
const WITHIN = 240_000;
const PAGE = '<!doctype html><link rel="stylesheet" href="player.css"><div id="here"></div><script src="player.js"></script>';
const of = (name) => readFileSync(join(ASCIINEMA_PLAYER, 'dist', 'bundle', `asciinema-player.${name}`));

const server = createServer((request, response) => {
  const answer = {
    '/': ['text/html', () => PAGE],
    '/player.js': ['text/javascript', () => of('min.js')],
    '/player.css': ['text/css', () => of('css')],
  }[request.url];
  if (answer) {
    response.setHeader('content-type', answer[0]);
    response.end(answer[1]());
  } else {
    response.setHeader('content-length', statSync(CAST).size);
    createReadStream(CAST).pipe(response);
  }
});
await new Promise((go) => server.listen(0, '127.0.0.1', go));

const browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox', '--disable-gpu'] });
try {
  const page = await (await browser.newContext()).newPage();
  const complaints = [];
  page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()));
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('crash', () => complaints.push('the page crashed'));
  await page.goto(`http://127.0.0.1:${server.address().port}/`);
  const asked = page.evaluate(async (seeks) => {
    const frame = () => new Promise((go) => requestAnimationFrame(() => go()));
    const began = performance.now();
    const player = AsciinemaPlayer.create('/cast', document.getElementById('here'), { preload: true });
    await player.seek(0.5);
    await frame();
    const first = performance.now() - began;
    const [took, length] = [[], await player.getDuration()];
    for (let n = 0; n < seeks; n += 1) {
      const since = performance.now();
      await player.seek(((n * 7919) % 1000) / 1000 * length);
      await frame();
      took.push(performance.now() - since);
    }
    return { first, length, took };
  }, Number(SEEKS));
  let timer = 0;
  const late = new Promise((_, fail) => {
    timer = setTimeout(() => fail(new Error(`nothing within ${WITHIN / 1000} s`)), WITHIN);
  });
  const told = await Promise.race([asked, late]).catch((error) => ({ failed: [String(error).slice(0, 200), ...complaints] }));
  clearTimeout(timer);
  const found = await memory(browser).catch(() => ({}));
  console.log(JSON.stringify({ ...told, ...found, complaints, cast_mb: statSync(CAST).size / 1e6 }));
} finally {
  await browser.close();
  server.close();
  server.closeAllConnections();
}
