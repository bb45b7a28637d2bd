export { cpuBackend } from './backend.js';
export { printTape, type PrintedTape } from './tape.js';
