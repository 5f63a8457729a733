// Leads Chromium to lists that grow while somebody looks, and to times that come twice. Started by
// `cargo test -p hansard-tests --test web listings`.
import assert from 'node:assert/strict';
import { lead, open, signIn, step, until } from './drive.mjs';

const { ORIGIN } = process.env;

/** So many events, the newest first, as the service would answer; and who asked for them. */
async function grows(page, count) {
  const told = { count, asked: [] };
  await page.route(/\/v1\/events\?/, async (route) => {
    const request = route.request();
    const asked = new URL(request.url()).searchParams;
    told.asked.push({ byItself: request.headers()['hansard-by-itself'] === '1', cursor: asked.get('cursor') });
    // The cursor is the number of the event behind which it goes on.
    const newest = asked.has('cursor') ? Number(asked.get('cursor')) - 1 : told.count;
    const numbers = Array.from({ length: Math.min(newest, Number(asked.get('limit'))) }, (_, n) => newest - n);
    const one = (n) => ({ event: 'test.event', uid: `uid-${n}`, time: '2026-11-21T08:00:00Z', ei: n, sid: 'none', message: `number ${n}.` });
    const last = numbers.at(-1) ?? 1;
    await route.fulfill({ json: { events: numbers.map(one), complete: true, next: last > 1 ? String(last) : null } });
  });
  return told;
}

await lead(async () => {
  const page = await open();
  const list = page.getByRole('list', { name: 'Events' });
  const listed = () => page.locator('.title .count').textContent();
  const lists = (text) => until(text, listed, (said) => said === `${text} listed`);
  const toTheEnd = (text) =>
    until(text, async () => {
      await list.evaluate((box) => (box.scrollTop = box.scrollHeight));
      return listed();
    }, (said) => said === `${text} listed`);
  /** Scrolls to where this event must stand. */
  const stands = (n, count) =>
    until(`number ${n}`, async () => {
      await list.evaluate((box, at) => (box.scrollTop = at), (count - n) * 36);
      return list.getByText(`number ${n}.`).count();
    }, (found) => found === 1);

  await step('more events than a page holds come at once, and none is left out', async () => {
    const told = await grows(page, 300);
    await page.goto(`${ORIGIN}/events`);
    await signIn(page, 'ada', false);
    await lists('200+');
    told.asked = [];
    told.count = 750;
    await lists('650+');
    // Nobody is kept signed in by that.
    assert.ok(told.asked.every(({ byItself }) => byItself), JSON.stringify(told.asked));
    await toTheEnd('750');
    for (const n of [750, 551, 550, 301, 300, 1]) {
      await stands(n, 750);
    }
  });

  await step('beyond a few pages the list begins anew', async () => {
    const told = await grows(page, 300);
    await page.goto('about:blank');
    await page.goto(`${ORIGIN}/events`);
    await lists('200+');
    told.asked = [];
    told.count = 3000;
    await lists('1000+');
    assert.deepEqual(told.asked.slice(0, 5).map(({ cursor }) => cursor), [null, '2801', '2601', '2401', '2201']);
    assert.ok(told.asked.every(({ byItself }) => byItself), JSON.stringify(told.asked));
    await toTheEnd('3000');
    await stands(2000, 3000);
    await stands(1, 3000);
    await page.unroute(/\/v1\/events\?/);
  });
});
