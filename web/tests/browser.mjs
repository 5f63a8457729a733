// Leads Chromium through the application as a person would go, and says what it found. Started by
// `cargo test -p hansard-tests --test web`, which has recorded what is looked at; with SHOTS=DIR it keeps
// pictures.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { accessible, expect, lead, open, shot, signIn, step, until } from './drive.mjs';

const { ORIGIN, PLAYED, HOSTILE, LIVE, BOOK, WORD, WATCHED, SHOTS } = process.env;

const seconds = async (page) => {
  const [now] = (await page.getByTestId('clock').textContent()).split(' / ');
  return now.split(':').reduce((sum, part) => sum * 60 + Number(part), 0);
};
const screen = (page) => page.locator('.stage .glass').first();
const shows = (page, text) => screen(page).getByText(text).first().waitFor();

await lead(async () => {
  const page = await open();

  await step('a link to a session asks to sign in, and a wrong password is told', async () => {
    await page.goto(`${ORIGIN}/sessions`);
    await shot(page, 'sign-in');
    await accessible(page, 'sign-in');
    await page.getByLabel('Name').fill('ada');
    await page.getByLabel('Password').fill('wrong password');
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.getByRole('alert').getByText('name, password or code is wrong').waitFor();
  });

  await step('signing in with a code lists the sessions, those that go on first', async () => {
    await signIn(page, 'ada', true);
    const rows = page.getByRole('listitem');
    await rows.filter({ hasText: 'going on' }).first().waitFor();
    await rows.filter({ hasText: 'played' }).first().waitFor();
    const first = await rows.first().textContent();
    assert.match(first, /live/);
    await shot(page, 'sessions');
    await accessible(page, 'sessions');
  });

  await step('hostile names are text', async () => {
    const row = page.getByRole('listitem').filter({ hasText: '<img src=x' });
    await row.first().waitFor();
    await page.goto(`${ORIGIN}/sessions/${HOSTILE}`);
    await page.getByRole('heading', { name: '<img src=x' }).waitFor();
    await page.getByTestId('clock').waitFor();
    await page.locator('body').press('End');
    await shows(page, '<script>window.hit=1</script>');
    // Where the kernel is watched too, a session has more events than a page shows.
    await page.goto(`${ORIGIN}/events?session=${HOSTILE}&event=session.start`);
    const listed = page.getByRole('list', { name: 'Events' }).getByRole('listitem');
    await listed.filter({ hasText: 'session.start' }).first().click();
    await page.getByRole('complementary', { name: 'Event', exact: true }).getByText('<img src=x').first().waitFor();
    assert.equal(await page.evaluate(() => window.hit), undefined);
    assert.equal(await page.locator('img[src="x"]').count(), 0);
  });

  await step('a recording opens on its first moment, and plays to its end', async () => {
    await page.goto(`${ORIGIN}/sessions/${PLAYED}#t=0`);
    await page.getByTestId('clock').waitFor();
    await page.getByLabel('Speed').selectOption('16×');
    await page.getByRole('button', { name: 'Play' }).click();
    await shows(page, 'last line');
    await page.getByRole('button', { name: 'Play' }).waitFor();
    await shows(page, 'red words');
    assert.equal(await screen(page).locator('.m-b').first().textContent(), 'red words');
  });

  await step('the keys seek, and the address bar names the moment', async () => {
    await page.locator('body').press('Home');
    await until('the beginning', () => seconds(page), (s) => s === 0);
    await page.locator('body').press('End');
    await shows(page, 'last line');
    await page.locator('body').press('ArrowLeft');
    await until('the last line is gone', () => screen(page).textContent(), (text) => !text.includes('last line'));
    await until('the moment', () => page.url(), (url) => /#t=\d+\.\d{3}$/.test(url));
    await page.getByRole('button', { name: '5 seconds on' }).click();
    await shows(page, 'last line');
    await page.getByRole('button', { name: '5 seconds back' }).click();
    await page.getByRole('slider', { name: 'Moment' }).focus();
    await page.keyboard.press('End');
    await shows(page, 'last line');
  });

  await step('a link to a moment opens there', async () => {
    await page.goto('about:blank');
    await page.goto(`${ORIGIN}/sessions/${PLAYED}#t=3`);
    await shows(page, 'red words');
    assert.equal(await seconds(page), 3);
    assert.ok(!(await screen(page).textContent()).includes('needle'));
  });

  await step('a text is found, and leads to its moment', async () => {
    await page.locator('body').press('/');
    await page.getByLabel('Text that stood on the screen').fill('needle in the middle');
    await page.keyboard.press('Enter');
    await page.getByRole('status').getByText('1 found').waitFor();
    await page.getByRole('complementary').getByRole('button', { name: 'needle in the middle' }).click();
    await shows(page, 'needle in the middle');
    await until('the moment', () => seconds(page), (s) => s >= 4);
    // The address names the first millisecond at which it is there, neither one before nor one behind.
    const address = await until('its address', () => page.url(), (url) => /#t=\d+\.\d{3}$/.test(url));
    const moment = Number(address.split('#t=')[1]);
    for (const [at, is] of [[moment - 0.001, false], [moment, true]]) {
      await page.goto('about:blank');
      await page.goto(`${ORIGIN}/sessions/${PLAYED}#t=${at.toFixed(3)}`);
      await shows(page, 'red words');
      assert.equal((await screen(page).textContent()).includes('needle in the middle'), is, `at ${at}`);
    }
  });

  await step('speed, idle, pause and scrubbing', async () => {
    await page.evaluate(() => document.activeElement?.blur());
    await page.locator('body').press('Home');
    await page.getByLabel('Speed').selectOption('1×');
    await page.evaluate(() => document.activeElement?.blur());
    await page.locator('body').press('>');
    assert.equal(await page.getByLabel('Speed').inputValue(), '1.5');
    await page.locator('body').press('i');
    assert.ok(await page.getByLabel('Skip idle').isChecked());
    await page.locator('body').press(' ');
    await shows(page, 'needle in the middle');
    await page.locator('body').press(' ');
    await page.getByRole('button', { name: 'Play' }).waitFor();
    const bar = await page.getByRole('slider', { name: 'Moment' }).boundingBox();
    await page.mouse.move(bar.x + bar.width * 0.98, bar.y + 10);
    await page.locator('.thumbnail').getByText('needle').first().waitFor();
    await shot(page, 'player-dark-screen');
    await page.mouse.click(bar.x + 1, bar.y + 10);
    await until('the beginning', () => seconds(page), (s) => s === 0);
  });

  await step('nothing that a program asked its terminal reaches the page', async () => {
    const text = await screen(page).textContent();
    assert.ok(!text.includes('\u001b') && !text.includes(']11;'), text);
  });

  await step('a stretch of it is taken away in another format, and a moment as a picture', async () => {
    await page.getByRole('tab', { name: 'Export' }).click();
    const kept = async (act) => {
      const [download] = await Promise.all([page.waitForEvent('download'), act()]);
      return [download.suggestedFilename(), readFileSync(await download.path())];
    };
    const take = () => page.getByRole('link', { name: 'Download' }).click();
    const [whole, sealed] = await kept(take);
    assert.equal(whole, `${PLAYED}.hansard`);
    assert.ok(sealed.length > 500, `${sealed.length} bytes`);
    await page.getByLabel('Format').selectOption('asciicast-v3');
    await page.getByLabel('From').fill('2:1:0:0');
    await page.getByRole('alert').getByText('A moment is').waitFor();
    // Where it stands, to the millisecond, as the address bar says it.
    await page.getByRole('button', { name: 'From here' }).click();
    await page.getByRole('button', { name: 'Until here' }).click();
    const here = new URL(page.url()).hash.slice(3);
    for (const name of ['From', 'Until']) {
      const said = await page.getByLabel(name, { exact: true }).inputValue();
      assert.equal(said, `0:${here.padStart(6, '0')}`, name);
    }
    const exported = page.getByRole('link', { name: 'Download' });
    const ms = String(Math.round(Number(here) * 1000));
    const asked = new URL(await exported.getAttribute('href'), ORIGIN).searchParams;
    assert.deepEqual([asked.get('from_ms'), asked.get('until_ms')], [ms, ms]);
    await page.locator('body').press('Home');
    await page.getByLabel('From').fill('1');
    await page.getByLabel('Until').fill('3');
    await page.getByLabel('Reason').fill('ticket 9');
    const [name, cast] = await kept(take);
    assert.equal(name, `${PLAYED}.cast`);
    const lines = cast.toString().trimEnd().split('\n');
    assert.equal(JSON.parse(lines[0]).version, 3);
    // The first line names the command, which says what it is going to show.
    const shown = lines.slice(1).join('\n');
    assert.ok(shown.includes('red words') && !shown.includes('needle') && !shown.includes('last line'), shown);
    // A film of the same stretch: made first, then fetched.
    for (const [format, magic, at] of [['gif', 'GIF89a', 0], ['mp4', 'ftyp', 4]]) {
      await page.getByLabel('Format').selectOption(format);
      const [film, bytes] = await kept(() => page.getByRole('button', { name: 'Make and download' }).click());
      assert.equal(film, `${PLAYED}.${format}`);
      assert.equal(bytes.subarray(at, at + magic.length).toString(), magic);
      await page.getByText('The film is saved').waitFor();
    }
    // Where it cannot be made the service says why, and so does the page.
    expect('the server responded with a status of 501');
    const refuse = (route) => route.fulfill({
      status: 501,
      json: { error: { code: 'no_ffmpeg', message: "install Debian's package ffmpeg", next_step: '' } },
    });
    await page.route('**/export?*', refuse);
    await page.getByRole('button', { name: 'Make and download' }).click();
    await page.getByRole('alert').getByText('package ffmpeg').waitFor();
    await page.unroute('**/export?*', refuse);
    const [picture, png] = await kept(() => page.getByRole('button', { name: 'as PNG' }).click());
    assert.match(picture, /-\d+\.\d{3}\.png$/);
    assert.equal(png.subarray(1, 4).toString(), 'PNG');
    assert.ok(png.length > 2000, `${png.length} bytes`);
    if (SHOTS) {
      writeFileSync(join(SHOTS, 'moment.png'), png);
    }
    await accessible(page, 'export');
    await shot(page, 'export');
  });

  await step('the facts stand beside it', async () => {
    await page.getByRole('tab', { name: 'Facts' }).click();
    await page.getByText(PLAYED).waitFor();
    await accessible(page, 'the player');
  });

  /** Asks, and asks again until there is an answer like this: what was just shown is found a second later. */
  const find = async (text, wanted) => {
    const asked = page.getByRole('search').getByLabel('What was shown, typed, run or told of');
    await asked.fill(text);
    const said = page.locator('.title').getByRole('status');
    await until(`finding ${text}`, async () => {
      await asked.press('Enter');
      await page.locator('.title').getByText(/\d+\+? lines? in/).waitFor();
      return said.textContent();
    }, wanted);
  };

  await step('a word that was only ever in a pager is found and jumped to, with what ran beside it', async () => {
    await page.goto(`${ORIGIN}/sessions`);
    await page.getByRole('listitem').filter({ hasText: 'a book' }).first().waitFor();
    await page.locator('body').press('/');
    await page.getByRole('heading', { name: 'Search' }).waitFor();
    await find(WORD, (text) => text === '1 line in 1 session');
    assert.equal(await page.locator('mark').textContent(), WORD);
    await shot(page, 'search');
    await accessible(page, 'search');
    await page.keyboard.press('ArrowDown');
    assert.match(await page.evaluate(() => document.activeElement.textContent), new RegExp(WORD));
    await page.keyboard.press('ArrowUp');
    await page.keyboard.press('ArrowDown');
    await page.keyboard.press('Enter');
    await shows(page, WORD);
    const [, at] = /\/sessions\/(.*)#t=/.exec(page.url()) ?? [];
    assert.equal(at, BOOK);
    const moment = Number(new URLSearchParams(new URL(page.url()).hash.slice(1)).get('t'));
    if (WATCHED) {
      const beside = page.getByRole('complementary').getByRole('listitem');
      await beside.filter({ hasText: /session\.command.*less/ }).first().waitFor();
    }
    await shot(page, 'player-dark');
    // Exactly there: a millisecond before it was not.
    await page.goto('about:blank');
    await page.goto(`${ORIGIN}/sessions/${BOOK}#t=${(moment - 0.001).toFixed(3)}`);
    await shows(page, /line \d+ of/);
    assert.ok(!(await screen(page).textContent()).includes(WORD));
    await page.getByRole('button', { name: 'Play' }).click();
    await shows(page, WORD);
    await page.locator('body').press('Home');
    await until('it is gone', () => screen(page).textContent(), (text) => !text.includes(WORD));
    await page.goBack();
    await page.goBack();
  });

  await step('an answer opens in the transcript too, at its moment', async () => {
    await page.goto(`${ORIGIN}/search?q=${WORD}`);
    await page.getByRole('link', { name: /^Transcript at/ }).first().click();
    await page.getByRole('tab', { name: 'Transcript', selected: true }).waitFor();
    await shows(page, WORD);
    await page.getByRole('list', { name: 'Transcript' }).getByText(WORD).waitFor();
    assert.equal(await page.locator('.text-line.now').count(), 1);
    // Whoever moves on keeps it, and the address names the moment alone.
    await page.locator('body').press('ArrowLeft');
    await until('another moment', () => page.url(), (url) => /#t=\d+\.\d{3}$/.test(url));
    await page.getByRole('tab', { name: 'Transcript', selected: true }).waitFor();
  });

  await step('questions that are none are told, and filters are part of the address', async () => {
    await page.goto(`${ORIGIN}/search?q=${WORD}&since=24h&in=shown`);
    await page.locator('mark').getByText(WORD).waitFor();
    await page.getByRole('search').getByRole('combobox').first().selectOption('commands');
    await page.getByText('Nothing was found').waitFor();
    assert.ok(page.url().endsWith('in=command'), page.url());
    await page.goto(`${ORIGIN}/search?q=user:ada`);
    await page.getByRole('alert').getByText('nothing is asked for').waitFor();
    await page.getByText('How to ask').click();
    await page.getByText('a word that begins so').waitFor();
  });

  await step('hostile snippets, questions and names are text', async () => {
    await page.goto(`${ORIGIN}/search?q=${encodeURIComponent('"window.hit=1"')}`);
    await find('"window.hit=1"', (text) => /^([2-9]|\d\d) lines in 1 session/.test(text));
    const found = page.locator('.found');
    await found.getByText('<script>').first().waitFor();
    await found.locator('.hit').filter({ hasText: 'screen' }).filter({ hasText: 'onerror=' }).first().waitFor();
    await found.locator('.hit').filter({ hasText: 'event' }).first().waitFor();
    await page.goto(`${ORIGIN}/search?q=${encodeURIComponent('<img src=x onerror=window.hit=1>')}`);
    await page.locator('mark').first().waitFor();
    assert.match(await page.title(), /^<img src=x/);
    assert.equal(await page.evaluate(() => window.hit), undefined);
    assert.equal(await page.locator('img[src="x"]').count(), 0);
  });

  await step('hosts, users and events are listed', async () => {
    await page.getByRole('link', { name: 'Hosts' }).click();
    await page.getByRole('cell', { name: 'keeper' }).waitFor();
    await shot(page, 'hosts');
    await accessible(page, 'hosts');
    await page.getByRole('link', { name: 'Users' }).click();
    await page.getByRole('cell', { name: 'eve' }).waitFor();
    await page.getByRole('link', { name: 'Events' }).click();
    await page.getByRole('listitem').first().waitFor();
    await page.getByRole('textbox', { name: 'Event' }).fill('user.login');
    await page.getByRole('button', { name: 'Filter' }).click();
    await page.getByRole('list', { name: 'Events' }).getByRole('listitem').filter({ hasText: 'user.login' }).first().waitFor();
    await shot(page, 'events');
    await accessible(page, 'events');
  });

  await step('a session that goes on is watched, and ended with a reason', async () => {
    await page.goto(`${ORIGIN}/sessions/${LIVE}`);
    await shows(page, 'begun');
    const before = await screen(page).textContent();
    await until('something new', () => screen(page).textContent(), (text) => text !== before);
    await shot(page, 'live');
    await page.getByRole('button', { name: 'Terminate' }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel('Reason').fill('seen enough');
    await dialog.getByRole('button', { name: 'Terminate' }).click();
    await page.getByText('The session is over').waitFor();
  });

  await step('who looked at what is listed, and leads to the recording', async () => {
    await page.getByRole('link', { name: 'Looks' }).click();
    // What was looked at a moment ago is listed when its events are projected.
    const looked = async () => {
      await page.getByRole('button', { name: 'Filter' }).click();
      return page.getByRole('cell', { name: 'player' }).count();
    };
    await until('the looks', looked, (count) => count > 0);
    assert.equal(await page.getByRole('cell', { name: 'ada', exact: true }).first().isVisible(), true);
    await shot(page, 'looks');
    await accessible(page, 'looks');
    await page.getByLabel('User').fill('nobody-at-all');
    await page.getByRole('button', { name: 'Filter' }).click();
    await page.getByText('Nobody did.').waitFor();
    await page.getByLabel('User').fill('');
    await page.getByLabel('Session').fill(PLAYED);
    const [answer] = await Promise.all([
      page.waitForResponse((response) => response.url().includes(`recording=${PLAYED}`)),
      page.getByRole('button', { name: 'Filter' }).click(),
    ]);
    // The service filters: what is not of it does not come here.
    const { events } = await answer.json();
    assert.ok(events.length > 0 && events.every((one) => one.recording === PLAYED), JSON.stringify(events));
    await page.getByRole('link', { name: PLAYED }).first().click();
    await page.getByTestId('clock').waitFor();
  });

  await step('the policy is read, and tried out for a login', async () => {
    await page.getByRole('link', { name: 'Policy' }).click();
    await page.getByText('No policy was set').waitFor();
    await page.getByLabel('User').fill('<b>eve</b>');
    await page.getByRole('button', { name: 'Try' }).click();
    await page.getByLabel('Decided').getByText('record').first().waitFor();
    await shot(page, 'policy');
    await accessible(page, 'the policy');
  });

  await step('a user sees what is their own, and nothing else', async () => {
    const other = await open();
    await other.goto(`${ORIGIN}/`);
    await signIn(other, 'eve', false);
    await other.getByText('No sessions').waitFor();
    assert.equal(await other.getByRole('link', { name: 'Hosts' }).count(), 0);
    await other.goto(`${ORIGIN}/sessions/${PLAYED}`);
    await other.getByRole('alert').getByText('not your own').waitFor();
    await other.context().close();
  });

  await step('it is usable on a phone, and in the other colours', async () => {
    const state = await page.context().storageState();
    const phone = await open({ viewport: { width: 390, height: 800 }, colorScheme: 'dark', storageState: state });
    await phone.goto(`${ORIGIN}/sessions`);
    await phone.getByRole('listitem').filter({ hasText: 'played' }).first().waitFor();
    assert.ok(await phone.evaluate(() => document.documentElement.scrollWidth <= innerWidth));
    await shot(phone, 'phone-sessions-dark');
    await phone.goto(`${ORIGIN}/sessions/${PLAYED}#t=6`);
    await shows(phone, 'needle in the middle');
    await shot(phone, 'phone-player-dark');
    await accessible(phone, 'the player on a phone');
    assert.ok(await phone.evaluate(() => document.documentElement.scrollWidth <= innerWidth));
    await phone.goto(`${ORIGIN}/search?q=${WORD}`);
    await phone.locator('mark').waitFor();
    await shot(phone, 'phone-search-dark');
    await accessible(phone, 'the search on a phone');
    assert.ok(await phone.evaluate(() => document.documentElement.scrollWidth <= innerWidth));
    await phone.context().close();
  });

  await step('signing out ends it', async () => {
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.getByRole('button', { name: 'Sign in' }).waitFor();
    await page.goto(`${ORIGIN}/sessions`);
    await page.getByRole('button', { name: 'Sign in' }).waitFor();
  });
});
