/** Adds the backend that runs plugins' functions for the processor. Imported for that alone. */

import { registerBackend } from '@tensorwright/core';
import { pluginBackend } from './backend.js';

registerBackend(pluginBackend());
