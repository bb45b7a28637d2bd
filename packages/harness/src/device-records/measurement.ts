/** Records of what a device measured: rows stand for the record's commit, older ones name theirs. */

export interface Measurement {
  readonly date: string;
  readonly device: string;
  readonly commit: string;
  readonly command: string;
}

export interface Dated {
  /** Where it is not the record's. */
  readonly commit?: string | undefined;
}

/** A row that a new measurement leaves as it is. */
export function kept<T extends Dated>(row: T, record: Measurement, { commit: now }: Measurement): T {
  const { commit = record.commit, ...rest } = row;
  return commit === now ? (rest as T) : { ...row, commit };
}

/** A part of a record that was measured without the rest of it. */
export function measuredAlone<T extends Dated>(part: T, record: Measurement, { commit }: Measurement): T {
  return commit === record.commit ? part : { ...part, commit };
}

export function round(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}
