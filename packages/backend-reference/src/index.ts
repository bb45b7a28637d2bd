/** The backend 'reference': importing the package registers it. */

import { registerBackend } from '@tensorwright/core';
import { referenceBackend } from './backend.js';

registerBackend(referenceBackend);

export { referenceBackend };
