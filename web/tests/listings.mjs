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

  /** From when until when the page asks, once it asks for a time. */
  const asks = async (other, path) => {
    const request = await other.waitForRequest((one) => {
      const url = new URL(one.url());
      return url.pathname === path && url.searchParams.has('from');
    });
    const said = new URL(request.url()).searchParams;
    return [said.get('from'), said.get('until')];
  };

  await step('a moment that an address names is asked for, also where its hour comes twice', async () => {
    const berlin = await open({ storageState: await page.context().storageState(), timezoneId: 'Europe/Berlin' });
    const leads = async (path, query) => {
      const asked = asks(berlin, `/v1${path}`);
      await berlin.goto('about:blank');
      await berlin.goto(`${ORIGIN}${path}?${query}`);
      return asked;
    };
    const [first, last] = ['2026-10-25T01:30:00.000Z', '2026-10-25T01:45:30.250Z'];
    assert.deepEqual(await leads('/events', `from=${first}&until=${last}`), [first, last]);
    const said = () => ['from', 'until'].map((name) => new URL(berlin.url()).searchParams.get(name));
    assert.deepEqual(said(), [first, last]);
    const field = berlin.getByLabel('From');
    assert.match(await field.inputValue(), /^2026-10-25T02:30(:00)?$/);
    // Another field that is edited leaves it what it is; of one that is edited, what it says counts.
    const again = async () => {
      const asked = asks(berlin, '/v1/events');
      await berlin.getByRole('button', { name: 'Filter' }).click();
      return asked;
    };
    await berlin.getByLabel('Until').fill('2026-10-25T03:00:01');
    assert.deepEqual(await again(), [first, '2026-10-25T02:00:01.000Z']);
    await field.fill('2026-10-25T01:59:59');
    assert.deepEqual(await again(), ['2026-10-24T23:59:59.000Z', '2026-10-25T02:00:01.000Z']);
    await berlin.context().close();
  });

  await step('a day is as long as it was', async () => {
    const berlin = await open({ storageState: await page.context().storageState(), timezoneId: 'Europe/Berlin' });
    for (const [day, first, last] of [
      ['2026-10-25', '2026-10-24T22:00:00.000Z', '2026-10-25T23:00:00.000Z'],
      ['2026-03-29', '2026-03-28T23:00:00.000Z', '2026-03-29T22:00:00.000Z'],
      ['2026-07-01', '2026-06-30T22:00:00.000Z', '2026-07-01T22:00:00.000Z'],
    ]) {
      const asked = asks(berlin, '/v1/sessions');
      await berlin.goto('about:blank');
      await berlin.goto(`${ORIGIN}/sessions?from=${day}&until=${day}`);
      assert.deepEqual(await asked, [first, last], day);
    }
    await berlin.context().close();
  });
});
