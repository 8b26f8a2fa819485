// A browser as far as sessions go: it keeps cookies and sends them back.

export interface Answer {
  status: number;
  /** Parsed, if it is JSON. */
  body: any;
  /** The `Set-Cookie` headers. */
  setCookie: string[];
}

export class Browser {
  /** Where the application is, such as `http://127.0.0.1:3000`; changes when it is started again. */
  origin: string;
  readonly cookies = new Map<string, string>();

  constructor(origin: string) {
    this.origin = origin;
  }

  get(path: string): Promise<Answer> {
    return this.#request('GET', path);
  }

  post(path: string): Promise<Answer> {
    return this.#request('POST', path);
  }

  async #request(method: string, path: string): Promise<Answer> {
    const cookie = [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    const reply = await fetch(this.origin + path, { method, headers: cookie ? { cookie } : {}, redirect: 'manual' });
    const setCookie = reply.headers.getSetCookie();
    for (const header of setCookie) this.#keep(header);
    const text = await reply.text();
    const isJson = reply.headers.get('content-type')?.startsWith('application/json');
    return { status: reply.status, body: isJson ? JSON.parse(text) : text, setCookie };
  }

  #keep(header: string): void {
    const [pair] = header.split(';', 1);
    const name = pair.slice(0, pair.indexOf('='));
    const expires = cookieExpires(header);
    if (expires !== undefined && expires <= Date.now()) this.cookies.delete(name);
    else this.cookies.set(name, pair.slice(name.length + 1));
  }
}

/** When a `Set-Cookie` header lets its cookie end, in epoch milliseconds. */
export function cookieExpires(header: string): number | undefined {
  const expires = /; *expires=([^;]+)/i.exec(header)?.[1];
  return expires === undefined ? undefined : Date.parse(expires);
}
