/** The report of one plan on several devices, as it is written and recorded. */

/** What `devices` writes: lists have an entry a device. */
export interface DevicesReport {
  readonly devices: number;
  /** Bytes of the results that differ from the first device's. */
  readonly different: readonly number[];
  /** Of the results, over the deviation of the processor's. */
  readonly errors: readonly number[];
  /** Whether memory of another device was refused; absent with one device. */
  readonly refused?: readonly boolean[];
  /** Together: absent with one device. */
  readonly runsPerSecond: { readonly alone: readonly number[]; readonly together?: number };
  /** Bytes after closing. */
  readonly left: readonly number[];
}
