// Keys that do something on a page, unless somebody is typing.

/** Handles a key that nothing else has taken; `busy` says whether the page waits for something else. */
export function pressed(keys: Record<string, () => void>, busy: () => boolean): (event: KeyboardEvent) => void {
  return (event) => {
    const at = event.target;
    const typing = at instanceof HTMLInputElement || at instanceof HTMLSelectElement || busy();
    const own = at instanceof HTMLButtonElement && event.key === ' ';
    if (typing || own || event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) {
      return;
    }
    const act = keys[event.key];
    if (act) {
      event.preventDefault();
      act();
    }
  };
}
