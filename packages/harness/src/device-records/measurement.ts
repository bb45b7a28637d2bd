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

/** An older row beside a new measurement. */
export function kept<T extends Dated>(row: T, record: Measurement): T {
  return { ...row, commit: row.commit ?? record.commit };
}

export function round(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}
