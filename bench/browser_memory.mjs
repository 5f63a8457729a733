// What a page's process takes, as the kernel counts it.
import { readFileSync } from 'node:fs';

/** Memory of the browser's largest page in MB: what is shared is divided among those who share it (PSS). */
export async function memory(browser) {
  const devtools = await browser.newBrowserCDPSession();
  const { processInfo } = await devtools.send('SystemInfo.getProcessInfo');
  const pages = processInfo.filter((one) => one.type === 'renderer').map((one) => of(one.id));
  return pages.reduce((one, two) => (two.pss > one.pss ? two : one));
}

function of(pid) {
  const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
  const mb = (name) => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(rollup)?.[1] ?? 0) / 1024;
  return { pss: mb('Pss'), private: mb('Private_Clean') + mb('Private_Dirty') };
}
