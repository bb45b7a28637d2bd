/**
 * The program of the process that trials run in. It is plain text for `node -e`: wherever this package is bundled or
 * unpacked, nothing has to be found but the addon, whose path is its only argument. A request is answered twice, by its
 * number: when it begins and when it ends. Number 0 is the process's start.
 */
export const trialHost = `
const addon = require(process.argv[1]);
// Work that hangs cannot be cancelled: nothing but its process can end.
process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'));
process.on('message', async ({ request, work, options }) => {
  let weights, program;
  try {
    process.send({ request, begun: true });
    weights = addon.copyWeights(work.weights);
    program = addon.createProgram(work.program, weights, options.threads, options.device);
    const { minNanoseconds, maxRuns, coldConstants, outputs } = options;
    const trial = addon.try(program, work.inputDims, minNanoseconds, maxRuns, coldConstants, outputs, undefined);
    process.send({ request, trial: await trial });
  } catch (error) {
    process.send({ request, error: { code: error.code ?? 'ERR_INTERNAL', message: error.message } });
  } finally {
    if (program) addon.close(program);
    if (weights) addon.close(weights);
  }
});
process.send({ request: 0, status: addon.cudaStatus() });
`;
