// Sessions of every kind of content, by what they are. Every record format must keep them.

export const SESSIONS: Record<string, object> = {
  'of a framework': {
    cookie: {
      path: '/',
      httpOnly: true,
      secure: true,
      sameSite: 'lax',
      originalMaxAge: 604_800_000,
      expires: '2030-01-22T12:00:00.000Z',
    },
    user: { id: 7, name: 'Ada' },
    tokens: { google: { access_token: 'ya29.a0', scope: ['email', 'profile'], expires_in: 3599 } },
  },
  'that is empty': {},
  'with every kind of JSON value': {
    null: null,
    true: true,
    number: -1.5e-7,
    text: '',
    list: [1, [2, []], {}],
    nested: { a: { b: { c: {} } } },
  },
  'with text of all kinds': {
    text: 'ünï © 漢字 🙂 \u0000 \u2028 \ufeff \\ " </script>',
    'clé 🙂': 'schlüssel',
    escaped: '\ud83d\ude42',
  },
  'of 300,000 bytes': { cookie: {}, blob: 'é'.repeat(150_000) },
};
