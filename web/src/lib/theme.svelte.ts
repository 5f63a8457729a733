// Light, dark, or as the system is.

const NAMES = ['system', 'light', 'dark'] as const;
type Name = (typeof NAMES)[number];
const KEY = 'hansard-colours';

class Theme {
  name = $state<Name>('system');

  constructor() {
    const kept = NAMES.find((name) => name === localStorage.getItem(KEY));
    this.set(kept ?? 'system');
  }

  get sign(): string {
    return { system: '◐', light: '○', dark: '●' }[this.name];
  }

  turn() {
    this.set(NAMES[(NAMES.indexOf(this.name) + 1) % NAMES.length] ?? 'system');
  }

  private set(name: Name) {
    this.name = name;
    localStorage.setItem(KEY, name);
    if (name === 'system') {
      delete document.documentElement.dataset['colours'];
    } else {
      document.documentElement.dataset['colours'] = name;
    }
  }
}

export const theme = new Theme();
