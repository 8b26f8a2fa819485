// The settings that the gateway is run with.

export interface Setting {
  rolling: boolean;
  saveUninitialized: boolean;
  touch: string;
  /** The seconds that pass before each request. */
  step: number;
  /** Options of our store. */
  store?: object;
}

/** Whether the session's end is due to move: not yet, at every request, or when the clock has gone on far enough. */
const touches = {
  'no touch is due': { step: 1 },
  'a touch is always due': { step: 1, store: { touchAfter: 0 } },
  'touches are due by the clock': { step: 60 },
};

export const settings: Setting[] = [true, false].flatMap((rolling) =>
  [true, false].flatMap((saveUninitialized) =>
    Object.entries(touches).map(([touch, options]) => ({ rolling, saveUninitialized, touch, ...options })),
  ),
);

export function titleOf({ rolling, saveUninitialized, touch }: Setting): string {
  return `rolling ${rolling}, saveUninitialized ${saveUninitialized}, and ${touch}`;
}

/** What the in-memory store has to be run with for these settings: it knows of no touch. */
export function referenceSettings(of: Setting[]): Setting[] {
  return of.filter((setting, index) => of.findIndex((other) => isSame(setting, other)) === index);
}

/** Finds what belongs to a setting among the transcripts of `referenceSettings(of)`. */
export function referenceOf<T>(setting: Setting, of: Setting[], transcripts: T[]): T {
  return transcripts[referenceSettings(of).findIndex((other) => isSame(setting, other))];
}

function isSame(one: Setting, other: Setting): boolean {
  return one.rolling === other.rolling && one.saveUninitialized === other.saveUninitialized && one.step === other.step;
}
