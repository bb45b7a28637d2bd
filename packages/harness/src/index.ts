export { type ConformanceCase, conformanceCases, difference } from './conformance/data.js';
