export { cudaBackend } from './backend.js';
