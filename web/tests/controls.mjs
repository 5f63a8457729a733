// Leads Chromium to every control of the player, and to what stands beside it and around it: transcript,
// counted events, saved searches, coverage. Started by `cargo test -p hansard-tests --test web controls`.
import assert from 'node:assert/strict';
import { accessible, lead, open, shot, signIn, step, until } from './drive.mjs';

const { ORIGIN, LONG, BROKEN, BOOK, WORD, WATCHED } = process.env;

const clockText = (page) => page.getByTestId('clock').textContent();
const seconds = async (page) => {
  const [now] = (await clockText(page)).split(' / ');
  return now.split(':').reduce((sum, part) => sum * 60 + Number(part), 0);
};
const last = async (page) => (await clockText(page)).split(' / ')[1].split(':').reduce((sum, part) => sum * 60 + Number(part), 0);
const screen = (page) => page.locator('.stage .glass').first();
const shows = (page, text) => screen(page).getByText(text).first().waitFor();
const press = (page, key) => page.locator('body').press(key);
const calm = (page) => page.evaluate(() => document.activeElement?.blur());
const at = (page, what, wanted) => until(what, () => seconds(page), wanted);

/** Presses the button, and waits until it plays: at 16 times that may be over before anybody has looked for it. */
async function plays(page) {
  await page.evaluate(() => {
    window.played = false;
    const look = (_, observer) => {
      if (document.querySelector('button[aria-label="Pause"]')) {
        window.played = true;
        observer.disconnect();
      }
    };
    new MutationObserver(look).observe(document.body, { attributes: true, childList: true, subtree: true });
  });
  await page.getByRole('button', { name: 'Play' }).click();
  await page.waitForFunction(() => window.played);
}

/** The page as it is, in the light and in the dark. */
async function inBothThemes(page, name) {
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme });
    await accessible(page, `${name}, ${colorScheme}`);
    await shot(page, `${name.replaceAll(' ', '-')}-${colorScheme}`);
  }
}

await lead(async () => {
  const page = await open({ permissions: ['clipboard-read', 'clipboard-write'] });
  await page.goto(`${ORIGIN}/sessions/${LONG}#t=0`);
  await signIn(page, 'ada', false);
  await page.getByTestId('clock').waitFor();
  await until('how long it is', () => last(page), (s) => s >= 7);
  const clipboard = () => page.evaluate(() => navigator.clipboard.readText());
  const speed = page.getByLabel('Speed');

  await step('every speed is there, by the list and by the keys, and is played at', async () => {
    const all = ['0.25', '0.5', '1', '1.5', '2', '4', '8', '16'];
    assert.deepEqual(await speed.locator('option').allTextContents(), all.map((one) => `${one}×`));
    for (const one of all) {
      await speed.selectOption(one);
      assert.equal(await speed.inputValue(), one);
      await calm(page);
      await press(page, 'Home');
      await at(page, 'the beginning', (s) => s === 0);
      await plays(page);
      await shows(page, 'of many');
      await calm(page);
      // It stops where it is, or at its end: at the faster speeds that may be now.
      if (one === '0.25') {
        const exactly = page.waitForRequest((request) => {
          const asked = new URL(request.url()).searchParams;
          return asked.has('from_ms') && asked.get('from_ms') === asked.get('until_ms');
        });
        await press(page, 'k');
        // What it stops at is the screen of that very moment, which the address names.
        const from_ms = Number(new URL((await exactly).url()).searchParams.get('from_ms'));
        await until('its address', () => page.url(), (url) => url.endsWith(`#t=${(from_ms / 1000).toFixed(3)}`));
      } else {
        await press(page, 'End');
      }
      await page.getByRole('button', { name: 'Play' }).waitFor();
    }
    await calm(page);
    await press(page, '>');
    assert.equal(await speed.inputValue(), '16');
    for (const one of all.toReversed().slice(1)) {
      await press(page, '<');
      assert.equal(await speed.inputValue(), one);
    }
    await press(page, '<');
    assert.equal(await speed.inputValue(), '0.25');
    await speed.selectOption('1');
    await calm(page);
  });

  await step('rewinding and seeking, by buttons and by keys', async () => {
    const end = await last(page);
    await press(page, 'End');
    await at(page, 'the end', (s) => s === end);
    await press(page, '0');
    await at(page, 'the beginning', (s) => s === 0);
    await press(page, 'ArrowRight');
    await at(page, '5 s', (s) => s === 5);
    await page.getByRole('button', { name: '5 seconds back' }).click();
    await at(page, '0 s', (s) => s === 0);
    await page.getByRole('button', { name: '5 seconds on' }).click();
    await at(page, '5 s again', (s) => s === 5);
    await calm(page);
    await press(page, 'ArrowLeft');
    await at(page, '0 s again', (s) => s === 0);
    await page.getByRole('slider', { name: 'Moment' }).focus();
    for (let n = 0; n < 11; n += 1) {
      await page.keyboard.press('PageDown');
    }
    await at(page, 'the end by steps', (s) => s === end);
    await page.keyboard.press('PageUp');
    await at(page, 'before the end', (s) => s < end);
    await page.keyboard.press('Home');
    await at(page, 'the beginning of the slider', (s) => s === 0);
  });

  await step('scrubbing leads through it, with the moment under the pointer', async () => {
    const bar = await page.getByRole('slider', { name: 'Moment' }).boundingBox();
    const end = await last(page);
    const to = (part) => page.mouse.move(bar.x + bar.width * part, bar.y + 10);
    await to(0.99);
    await page.locator('.thumbnail').getByText('the very end').waitFor();
    await to(0.5);
    await page.locator('.thumbnail').getByText('row 700 of many').waitFor();
    await page.mouse.down();
    await to(0.7);
    await to(0.9);
    await at(page, 'where it was dragged to', (s) => s >= Math.floor(end * 0.85) && s <= end);
    await page.mouse.up();
    await shows(page, 'after the pause');
    await page.mouse.move(5, 5);
  });

  await step('idle stretches are skipped where that is wanted, and played where not', async () => {
    const seen = async (skips) => {
      await page.getByLabel('Skip idle').setChecked(skips);
      await calm(page);
      await press(page, 'Home');
      await at(page, 'the beginning', (s) => s === 0);
      // The clock is there before the screen is.
      await screen(page).getByText('after the pause').first().waitFor({ state: 'detached' });
      await page.evaluate(() => {
        const clock = document.querySelector('[data-testid=clock]');
        window.told = [];
        window.watching = new MutationObserver(() => window.told.push(clock.textContent.split(' / ')[0]));
        window.watching.observe(clock, { childList: true, characterData: true, subtree: true });
      });
      await press(page, ' ');
      await shows(page, 'after the pause');
      await press(page, ' ');
      return page.evaluate(() => (window.watching.disconnect(), window.told));
    };
    // Somewhere amid the pause, which lasts five seconds; a busy machine may pass over some of them.
    const amid = ['0:02', '0:03', '0:04'];
    const played = await seen(false);
    assert.ok(amid.some((second) => played.includes(second)), played.join(' '));
    const skipped = await seen(true);
    assert.ok(!skipped.includes('0:03') && skipped.length > 0, skipped.join(' '));
    await press(page, 'i');
    assert.ok(!(await page.getByLabel('Skip idle').isChecked()));
  });

  await step('text and link are copied, the glass is zoomed, and fills the screen', async () => {
    await press(page, 'End');
    await shows(page, 'the very end');
    await page.getByRole('button', { name: 'Copy text' }).click();
    await page.getByText('The screen is copied').waitFor();
    assert.match(await clipboard(), /after the pause\nthe very end$/);
    await page.getByRole('button', { name: 'Copy link' }).click();
    await page.getByText('The link is copied').waitFor();
    assert.match(await clipboard(), new RegExp(`/sessions/${LONG}#t=\\d+\\.\\d{3}$`));
    const fit = page.getByRole('button', { name: 'Fit' });
    const size = () => screen(page).evaluate((glass) => glass.style.fontSize);
    // What is said beside the buttons takes room from the glass until it goes.
    await page.getByText('The link is copied').waitFor({ state: 'detached' });
    const before = await size();
    assert.equal(await fit.getAttribute('aria-pressed'), 'true');
    await fit.click();
    assert.equal(await fit.getAttribute('aria-pressed'), 'false');
    await until('another size', size, (now) => now !== before);
    await calm(page);
    await press(page, 'z');
    await until('the size before', size, (now) => now === before);
    const full = () => page.evaluate(() => document.fullscreenElement?.className ?? '');
    await page.getByRole('button', { name: 'Full screen' }).click();
    await until('the full screen', full, (now) => now.includes('stage'));
    await calm(page);
    await press(page, 'f');
    await until('no full screen', full, (now) => now === '');
  });

  await step('happenings are led to one by one, and by a click', async () => {
    const beside = page.getByRole('complementary', { name: 'Beside the screen' });
    if (WATCHED) {
      await page.locator('.lanes').getByText('commands').waitFor();
      const moment = () => Number(new URLSearchParams(new URL(page.url()).hash.slice(1)).get('t'));
      const to = (what, wanted) => until(what, moment, wanted);
      await press(page, 'End');
      const end = await to('the end', (t) => t > 7);
      await press(page, 'M');
      const before = await to('the happening before', (t) => t < end);
      await page.getByRole('button', { name: 'Happening before' }).click();
      const more = await to('one more before', (t) => t < before);
      await calm(page);
      await press(page, 'M');
      const first = await to('and one more', (t) => t < more);
      await page.getByRole('button', { name: 'Next happening' }).click();
      const on = await to('on again', (t) => t > first);
      await calm(page);
      await press(page, 'm');
      await to('and again', (t) => t > on);
      await press(page, 'Home');
      await beside.getByRole('button', { name: /bin\/true/ }).first().click();
      await at(page, 'the program', (s) => s >= 4);
      assert.equal(await beside.locator('li.now').count(), 1);
    } else {
      assert.ok(await page.getByRole('button', { name: 'Next happening' }).isDisabled());
    }
  });

  await step('the screen waits for no timeline, and without one everything plays to its end', async () => {
    const hold = async (what) => {
      let release = () => {};
      const held = new Promise((go) => (release = go));
      await page.route(what, async (route) => {
        await held;
        // Whoever seeks again has broken it off.
        await route.continue().catch(() => {});
      });
      return release;
    };
    const fresh = async (moment) => {
      await page.goto('about:blank');
      await page.goto(`${ORIGIN}/sessions/${LONG}#t=${moment}`);
    };
    const play = page.getByRole('button', { name: 'Play' });
    const known = await hold('**/timeline');
    // Pressed before there is anything to be seen.
    const shown = await hold('**/frames?*');
    await fresh(6.5);
    await page.getByText('Making the recording ready').waitFor();
    await play.click();
    await page.getByRole('button', { name: 'Pause' }).waitFor();
    shown();
    await shows(page, 'after the pause');
    await shows(page, 'the very end');
    await play.waitFor();
    const end = await last(page);
    assert.ok(end >= 7 && (await seconds(page)) === end, await clockText(page));
    await page.unroute('**/frames?*');
    // From its end it plays from the beginning, and pauses.
    await play.click();
    await at(page, 'the beginning', (s) => s < 5);
    await shows(page, 'of many');
    await calm(page);
    await press(page, 'k');
    await play.waitFor();
    await press(page, 'Home');
    await at(page, 'the very beginning', (s) => s === 0);
    await press(page, 'ArrowRight');
    await at(page, '5 s', (s) => s === 5);
    const bar = await page.getByRole('slider', { name: 'Moment' }).boundingBox();
    await page.mouse.click(bar.x + bar.width * 0.9, bar.y + 10);
    await at(page, 'where the bar was pressed', (s) => s >= Math.floor(end * 0.85) && s <= end);
    await shows(page, 'after the pause');
    await page.mouse.move(5, 5);
    // A moment that there is not is the end, by the key and by a link.
    await fresh(0);
    // A key says nothing to a page that does not know its session yet.
    await page.getByTestId('clock').waitFor();
    await press(page, 'End');
    await shows(page, 'the very end');
    await at(page, 'the end', (s) => s === end);
    await until('its address', () => page.url(), (url) => Math.floor(Number(url.split('#t=')[1])) === end);
    await fresh(86_400);
    await shows(page, 'the very end');
    await at(page, 'the end again', (s) => s === end);
    const density = page.locator('path.density');
    assert.equal(await density.getAttribute('d'), '');
    known();
    await until('the timeline', () => density.getAttribute('d'), (d) => d !== '');
    assert.equal(await seconds(page), end);
    await page.unroute('**/timeline');
  });

  await step('what is missing has a lane of its own, and leads there', async () => {
    await page.goto(`${ORIGIN}/sessions/${BROKEN}#t=0`);
    await page.locator('.lanes').getByText('gaps').waitFor();
    const gap = page.getByRole('complementary', { name: 'Beside the screen' }).getByRole('button', { name: 'gaps' });
    await gap.click();
    await shows(page, 'before the gap');
    await page.getByRole('tab', { name: 'Facts' }).click();
    assert.ok(Number(await page.locator('dt', { hasText: 'Gaps' }).locator('+ dd').textContent()) >= 1);
    await inBothThemes(page, 'a gap');
  });

  await step('thousands of happenings come one after the other, and the moment leads to each', async () => {
    await page.route('**/timeline', async (route) => {
      const response = await route.fetch();
      const all = await response.json();
      const one = (n) => ({ at_ns: Math.floor((n / 3000) * all.duration_ns), ei: n, lane: 'others', label: `number ${n}` });
      await route.fulfill({ response, json: { ...all, happenings: Array.from({ length: 3000 }, (_, n) => one(n)) } });
    });
    await page.goto('about:blank');
    await page.goto(`${ORIGIN}/sessions/${LONG}#t=0`);
    const list = page.locator('ol.happenings');
    const now = async () => Number(await list.locator('li.now').getAttribute('data-n'));
    await until('the first', now, (n) => n === 0);
    await calm(page);
    await press(page, 'End');
    await until('the last', now, (n) => n === 2999);
    const seen = (n) =>
      list.evaluate((all, which) => {
        const [box, item] = [all, all.querySelector(`[data-n="${which}"]`)].map((one) => one.getBoundingClientRect());
        return item.top >= box.top - 1 && item.bottom <= box.bottom + 1;
      }, n);
    await until('the last in sight', () => seen(2999), (is) => is);
    await press(page, 'Home');
    await until('the first again', now, (n) => n === 0);
    // All are there by and by, for who searches in the page.
    await until('all', () => list.locator('li').count(), (n) => n === 3000);
    await list.getByText('number 2718').click();
    await until('where that was', now, (n) => n === 2718);
    await page.unroute('**/timeline');
  });

  const lines = page.getByRole('list', { name: 'Transcript' });
  const rows = lines.getByRole('listitem');
  const now = () => lines.locator('.text-line.now .what').textContent();

  await step('the transcript follows what is played, and is fetched in pieces', async () => {
    const asked = [];
    page.on('response', (response) => {
      if (response.url().includes('/transcript')) {
        // One that is broken off, as whoever looks elsewhere does, has no lines.
        response.json().then((piece) => asked.push(piece.lines.length)).catch(() => {});
      }
    });
    await page.goto('about:blank');
    await page.goto(`${ORIGIN}/sessions/${LONG}#t=0`);
    await page.getByTestId('clock').waitFor();
    await press(page, 't');
    await rows.filter({ hasText: 'row 1 of many' }).first().waitFor();
    await press(page, 'End');
    await until('the last line', now, (text) => text === 'the very end');
    await lines.getByText('the very end').waitFor();
    await press(page, 'Home');
    await rows.filter({ hasText: 'row 1 of many' }).first().waitFor();
    // Nothing of it is ever asked for as a whole, nor in the page as one.
    await until('three pieces', () => asked, (all) => all.length >= 3);
    assert.ok(asked.every((count) => count <= 200), asked.join(' '));
    assert.ok((await rows.count()) < 120);
    await inBothThemes(page, 'the transcript');
  });

  await step('a line of the transcript leads to its moment, by a click and by the keyboard', async () => {
    await press(page, 'End');
    await lines.getByText('after the pause').click();
    const over = await at(page, 'the pause is over', (s) => s >= 5);
    await shows(page, 'after the pause');
    assert.equal(await now(), 'after the pause');
    await lines.locator('.text-line.now button').focus();
    await page.keyboard.press('ArrowUp');
    await until('the line before', () => page.evaluate(() => document.activeElement.getAttribute('aria-label')), (label) =>
      label?.includes('row 700 of many'),
    );
    assert.ok(!(await page.getByLabel('Follow').isChecked()));
    await page.keyboard.press('Enter');
    await at(page, 'before the pause', (s) => s <= over - 4);
    await page.keyboard.press('PageUp');
    await until('lines before', () => page.evaluate(() => document.activeElement.getAttribute('aria-label')), (label) =>
      label?.includes('row 680 of many'),
    );
    // What is before is fetched when somebody looks there, and what was in sight stays.
    await lines.evaluate((list) => (list.scrollTop = 0));
    await until('the first line', async () => {
      await lines.evaluate((list) => (list.scrollTop = 0));
      return rows.first().textContent();
    }, (text) => text.includes('row 1 of many'));
    await page.getByRole('button', { name: 'Copy lines' }).click();
    await page.getByText('lines are copied').waitFor();
    const copied = (await clipboard()).split('\n');
    assert.equal(copied[0], 'row 1 of many');
    assert.deepEqual(copied.slice(0, 700), Array.from({ length: 700 }, (_, n) => `row ${n + 1} of many`));
  });

  await step('what was only ever on a pager’s screen stands in the transcript', async () => {
    await page.goto(`${ORIGIN}/sessions/${BOOK}#t=0`);
    await page.getByTestId('clock').waitFor();
    await page.getByRole('tab', { name: 'Transcript' }).click();
    await lines.getByText('of a long book').first().waitFor();
    await page.getByLabel('Follow').uncheck();
    await lines.evaluate((list) => (list.scrollTop = 0));
    // As somebody reads it: on and on.
    await until('the word', async () => {
      const there = await lines.getByText(WORD).count();
      await (there || lines.evaluate((list) => (list.scrollTop += 200)));
      return there;
    }, (count) => count === 1);
    await lines.getByText(WORD).click();
    await shows(page, WORD);
    // The whole page of the book came at that moment: its last line is the one that is marked.
    assert.match(await now(), /of a long book/);
  });

  await step('events are counted by time and by value, and narrowed by both', async () => {
    await page.goto(`${ORIGIN}/events`);
    const counted = page.locator('.counted').getByRole('status');
    const total = async () => Number((await counted.textContent()).replace(/\D/g, ''));
    await counted.waitFor();
    const facets = page.getByRole('complementary', { name: 'Counts' });
    const begun = facets.getByRole('button', { name: 'session.start' });
    await until('the sessions that were recorded', async () => {
      await page.getByRole('button', { name: 'Filter' }).click();
      return facets.locator('li').filter({ hasText: 'session.start' }).locator('.number').allTextContents();
    }, ([count]) => count === '3');
    await inBothThemes(page, 'the event log');
    await begun.click();
    await until('three of them', total, (count) => count === 3);
    assert.equal(new URL(page.url()).searchParams.get('event'), 'session.start');
    assert.equal(await begun.getAttribute('aria-pressed'), 'true');
    const list = page.getByRole('list', { name: 'Events' }).getByRole('listitem');
    await until('their rows', () => list.count(), (count) => count === 3);
    // One of the bars alone, by the keyboard.
    const bars = page.getByRole('group', { name: 'Events over time' });
    await bars.locator('button[tabindex="0"]').focus();
    await page.keyboard.press('End');
    await page.keyboard.press('ArrowLeft');
    await page.keyboard.press('ArrowRight');
    await page.keyboard.press('Enter');
    await until('less time', () => new URL(page.url()).searchParams.has('from'), (has) => has);
    await until('fewer of them', total, (count) => count >= 1 && count < 3);
    await page.getByRole('button', { name: 'Wider' }).click();
    await page.getByRole('button', { name: 'All times' }).click();
    await until('all three again', total, (count) => count === 3);
    // And drawn over with the pointer: from the middle to the right all but the first are left out.
    const box = await bars.boundingBox();
    await page.mouse.move(box.x + box.width * 0.4, box.y + 20);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width * 0.6, box.y + 20);
    await page.mouse.move(box.x + box.width - 2, box.y + 20);
    await page.mouse.up();
    await until('what was drawn over', () => new URL(page.url()).searchParams.has('until'), (has) => has);
    await page.getByRole('button', { name: 'All times' }).click();
    await until('all three once more', total, (count) => count === 3);
    // The same value again asks for any.
    await begun.click();
    await until('all events', total, (count) => count > 3);
  });

  await step('a search is kept, led to and removed', async () => {
    await page.goto(`${ORIGIN}/events?event=session.start`);
    const menu = page.locator('details.saved');
    await menu.getByText('Saved searches').click();
    await menu.getByText('None yet').waitFor();
    await menu.getByLabel('Keep what is asked for now as').fill('starts of sessions');
    await menu.getByRole('button', { name: 'Keep', exact: true }).click();
    const link = menu.getByRole('link', { name: 'starts of sessions' });
    await link.waitFor();
    await inBothThemes(page, 'saved searches');
    // It is there on every page that searches, after a while, and leads there.
    await page.goto(`${ORIGIN}/search`);
    await menu.getByText('Saved searches').click();
    await link.click();
    await until('the search', () => page.url(), (url) => url === `${ORIGIN}/events?event=session.start`);
    await until('its filter', () => page.getByRole('textbox', { name: 'Event' }).inputValue(), (text) => text === 'session.start');
    // On the page itself it asks again.
    await page.getByRole('textbox', { name: 'Event' }).fill('user.login');
    await page.getByRole('button', { name: 'Filter' }).click();
    await until('another filter', () => page.url(), (url) => url.endsWith('event=user.login'));
    await menu.getByText('Saved searches').click();
    await link.click();
    await until('the filter again', () => page.getByRole('textbox', { name: 'Event' }).inputValue(), (text) => text === 'session.start');
    await page.goto(`${ORIGIN}/sessions`);
    await menu.getByText('Saved searches').click();
    await menu.getByRole('button', { name: 'Remove starts of sessions' }).click();
    await menu.getByText('None yet').waitFor();
    await page.keyboard.press('Escape');
    await until('a closed menu', () => menu.getAttribute('open'), (open) => open === null);
  });

  await step('hosts say what is recorded there and what not', async () => {
    await page.goto(`${ORIGIN}/hosts`);
    const row = page.getByRole('table', { name: 'What is recorded there' }).getByRole('row').filter({ hasText: 'keeper' });
    await row.getByText('programs that ask for it').waitFor();
    const [recorded, not] = [row.getByRole('cell').nth(0), row.getByRole('cell').nth(1)];
    assert.match(await recorded.textContent(), /kept there/);
    assert.equal(/events from the kernel/.test(await recorded.textContent()), WATCHED !== '');
    assert.match(await not.textContent(), /logins.*SSH server.*SSH proxy/);
    await row.getByText(/daemon since/).waitFor();
    await row.getByRole('link', { name: /^(exec|terminal) \d/ }).first().waitFor();
    await inBothThemes(page, 'hosts');
    await row.getByRole('link', { name: 'keeper' }).click();
    await page.getByRole('heading', { name: 'Sessions' }).waitFor();
  });
});
