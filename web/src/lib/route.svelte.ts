// Where we are: the address bar is the only state that a link needs.

/** The place that the address bar names. */
class Route {
  path = $state(location.pathname);
  search = $state(location.search);
  hash = $state(location.hash);

  constructor() {
    addEventListener('popstate', () => this.read());
    addEventListener('hashchange', () => this.read());
  }

  private read() {
    this.path = location.pathname;
    this.search = location.search;
    this.hash = location.hash;
  }

  /** The parts of the path. */
  get parts(): string[] {
    return this.path.split('/').filter((part) => part !== '');
  }

  /** What stands behind the question mark. */
  get query(): URLSearchParams {
    return new URLSearchParams(this.search);
  }

  /** Goes to a place of this application. */
  go(to: string) {
    history.pushState(null, '', to);
    this.read();
    scrollTo(0, 0);
  }

  /** Says in the address bar where we are, without a step back to where we were. */
  say(to: string) {
    history.replaceState(null, '', to);
    this.read();
  }
}

export const route = new Route();

/** A link of ours that was clicked plainly is followed here, without loading anything anew. */
export function follow(event: MouseEvent) {
  const link = event.target instanceof Element ? event.target.closest('a') : null;
  const plain = event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey;
  if (!link || !plain || link.origin !== location.origin || link.target || link.hasAttribute('download')) {
    return;
  }
  event.preventDefault();
  route.go(link.pathname + link.search + link.hash);
}
