#!/usr/bin/env node
// npm links a program only where its file is: in a clone there is no build yet when packages are installed.
import '../dist/main.js';
