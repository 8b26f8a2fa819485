// What a fleet costs and where it meets a limit, from the day of one user and the prices, quotas and assumptions of docs/scaling.md.

import { writeUnits } from './capacity.ts';

const SECONDS_A_DAY = 24 * 3600;
const GB = 1024 ** 3;

/** Named numbers, as a table of two columns or more has them. */
export type Facts = Record<string, number>;

/** What a user's day takes. */
export interface Day {
  /** The largest item, in bytes. */
  item: number;
  /** Calls of DynamoDB, reads and writes. */
  calls: number;
  readUnits: number;
  writeUnits: number;
  kms: number;
}

export interface Plan {
  name: string;
  day: Day;
  /** How many KMS calls a user's day takes on so many instances. */
  kms: (instances: number) => number;
  /** How often a minute each instance asks KMS whether it still may use the key. */
  checks: number;
}

export type Rows = string[][];

/** The number in a cell such as `$0.625`, `25 GB` or `4,000`. */
export function numberIn(cell: string): number {
  const value = Number(/^\$?([\d,]+(\.\d+)?)/.exec(cell)?.[1].replaceAll(',', ''));
  if (Number.isNaN(value)) throw new Error(`no number in the cell "${cell}"`);
  return value;
}

/** The second columns of tables by their first; a name that is not there throws where it is used. */
export function factsOf(tables: Rows[]): Facts {
  const rows = tables.flatMap(([, ...rows]) => rows);
  const facts: Facts = Object.fromEntries(rows.map(([name, value]) => [name, numberIn(value)]));
  return new Proxy(facts, {
    get(target, name: string) {
      if (!(name in target)) throw new Error(`no row "${name}" in docs/scaling.md`);
      return target[name];
    },
  });
}

/** A row of the table of days. */
export function dayOf([, item, ...counts]: string[]): Day {
  const [gets, puts, updates, deletes, reads, writes, kms] = counts.map(Number);
  return { item: numberIn(item) * 1000, calls: gets + puts + updates + deletes, readUnits: reads, writeUnits: writes, kms };
}

export const whole = (value: number) => Math.round(value).toLocaleString('en-US');
export const rate = (value: number) => (value < 100 ? value.toFixed(1) : whole(value));
export const money = (value: number) => (value < 100 ? `$${value.toFixed(2)}` : `$${whole(value)}`);
/** Two digits that count, downwards: so many are surely served. */
const atMost = (value: number) => {
  const step = 10 ** (Math.floor(Math.log10(value)) - 1);
  return whole(Math.floor(value / step) * step);
};

/** A visit's requests go to one instance after the other, and each that meets a session for the first time asks KMS. */
export function inTurn(oneInstance: Day, requestsAVisit: number) {
  return (instances: number) => oneInstance.kms * Math.min(instances, requestsAVisit);
}

/** As {@link inTurn}, but each request goes to any instance: the expected number of different ones. */
export function atRandom(oneInstance: Day, requestsAVisit: number) {
  return (instances: number) => oneInstance.kms * instances * (1 - (1 - 1 / instances) ** requestsAVisit);
}

export class Fleet {
  readonly facts: Facts;

  constructor(facts: Facts) {
    this.facts = facts;
  }

  /** What this much of something every day comes to in the peak second. */
  peak(aDay: number): number {
    return (aDay / SECONDS_A_DAY) * this.facts['peak second, in mean seconds'];
  }

  instances(users: number): number {
    const needed = this.peak(users * this.facts['requests a user and day']) / this.facts['requests a second an instance takes'];
    return Math.max(this.facts['instances at least'], Math.ceil(needed));
  }

  /** How many items of a user are in the table: those that were left, until Time to Live has deleted them. */
  items(): number {
    const { facts } = this;
    return facts['sessions a user leaves a day'] * (facts['days a session lives'] + facts['days until Time to Live deletes']);
  }

  /** Dollars a month, with the table in so many Regions. */
  month(users: number, { day, kms, checks }: Plan, regions = 1) {
    const { facts } = this;
    const days = facts['days a month'];
    const instances = this.instances(users);
    const stored = (users * this.items() * (day.item + facts['bytes of storage beside an item'])) / GB;
    const calls = days * (users * kms(instances) + checks * instances * 24 * 60);
    // The deletions of Time to Live are free where they happen, and writes where they are replicated.
    const expired = facts['sessions a user leaves a day'] * writeUnits(day.item, 0) * (regions - 1);
    const written = days * users * (day.writeUnits * regions + expired);
    const reads = ((days * users * day.readUnits) / 1e6) * facts['read request units, a million'];
    const writes = (written / 1e6) * facts['write request units, a million'];
    const storage = Math.max(0, stored - facts['storage without charge']) * facts['storage, a GB and month'] * regions;
    const billed = Math.max(0, calls - facts['KMS requests without charge']);
    const keys = facts['KMS key, a month'] * regions;
    const kmsCost = (billed / 10_000) * facts['KMS requests, ten thousand'] + keys;
    return { reads, writes, storage, kms: kmsCost, keys, total: reads + writes + storage + kmsCost };
  }

  monthRows(users: number[], plans: Plan[]): Rows {
    return users.flatMap((count) =>
      plans.map((plan) => {
        const { reads, writes, storage, kms, total } = this.month(count, plan);
        return [whole(count), plan.name, ...[reads, writes, storage, kms, total].map(money)];
      }),
    );
  }

  peakRows(users: number[], plans: Plan[]): Rows {
    const { facts } = this;
    return users.flatMap((count) =>
      plans.map(({ name, day, kms }) => {
        const instances = this.instances(count);
        const [reads, writes] = [day.readUnits, day.writeUnits].map((units) => this.peak(count * units));
        const partitions = Math.max(
          reads / facts['partition, read units a second'],
          writes / facts['partition, write units a second'],
        );
        const rates = [facts['requests a user and day'], day.readUnits, day.writeUnits, kms(instances)];
        const perSecond = rates.map((aDay) => rate(this.peak(count * aDay)));
        return [whole(count), name, whole(instances), ...perSecond, whole(Math.ceil(partitions))];
      }),
    );
  }

  /** With how many daily users the peak second reaches each quota. */
  limitRows(plans: Plan[]): Rows {
    const quotas: Array<[string, (plan: Plan) => number]> = [
      ['partition, read units a second', ({ day }) => day.readUnits],
      ['partition, write units a second', ({ day }) => day.writeUnits],
      ['new on-demand table, read units a second', ({ day }) => day.readUnits],
      ['new on-demand table, write units a second', ({ day }) => day.writeUnits],
      ['table, read units a second', ({ day }) => day.readUnits],
      ['table, write units a second', ({ day }) => day.writeUnits],
      ['KMS requests a second, most Regions', ({ kms }) => kms(Infinity)],
      ['KMS requests a second, second tier', ({ kms }) => kms(Infinity)],
      ['KMS requests a second, first tier', ({ kms }) => kms(Infinity)],
    ];
    return quotas.map(([quota, aDay]) => [
      quota,
      whole(this.facts[quota]),
      ...plans.map((plan) => atMost(this.facts[quota] / this.peak(aDay(plan)))),
    ]);
  }

  /** How many data keys an instance meets, at the peak, in each of these numbers of seconds. */
  cacheRows(users: number[], columns: Array<[plan: Plan, seconds: number]>): Rows {
    return users.map((count) => {
      const instances = this.instances(count);
      const keys = columns.map(([{ kms }, seconds]) => (this.peak(count * kms(instances)) / instances) * seconds);
      return [whole(count), whole(instances), ...keys.map((met) => whole(Math.ceil(met)))];
    });
  }

  /** Little's law: calls in flight, and so sockets, are calls a second times the seconds that one takes. */
  socketRows(milliseconds: number[], plans: Plan[]): Rows {
    const requests = this.facts['requests a second an instance takes'] / this.facts['requests a user and day'];
    return milliseconds.map((taken) => {
      const sockets = (aDay: number) => whole(Math.ceil((aDay * requests * taken) / 1000));
      return [`${whole(taken)} ms`, ...plans.flatMap(({ day, kms }) => [sockets(day.calls), sockets(kms(Infinity))])];
    });
  }

  regionRows(users: number, regions: number[], plans: Plan[]): Rows {
    return regions.flatMap((count) =>
      plans.map((plan) => {
        const { reads, writes, storage, kms, total } = this.month(users, plan, count);
        const replicated = (this.facts['days a month'] * users * plan.day.writeUnits * 1024 * (count - 1)) / GB;
        return [whole(count), plan.name, ...[reads, writes, storage, kms, total].map(money), `${whole(replicated)} GB`];
      }),
    );
  }

  /** How many requests a second one session bears, before its partition throttles. */
  sessionRows(units: Array<[string, number, number]>): Rows {
    const { facts } = this;
    return units.map(([name, reads, writes]) => {
      const byReads = facts['partition, read units a second'] / reads;
      const byWrites = writes ? facts['partition, write units a second'] / writes : Infinity;
      return [name, String(reads), String(writes), whole(Math.floor(Math.min(byReads, byWrites)))];
    });
  }
}
