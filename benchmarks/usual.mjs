// What everything else is measured beside.

/** The size of the sessions, in bytes of JSON, and the calls in flight, where the budgets are. */
export const USUAL = { size: 2000, inFlight: 64 };
/** The other size that is measured. */
export const LARGE = 50_000;
