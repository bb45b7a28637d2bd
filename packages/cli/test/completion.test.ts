import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { tensorwright } from './support/run-command.js';

describe('completion', () => {
  it.each(['bash', 'zsh', 'fish'])('for %s knows commands and options', async (shell) => {
    const { code, stdout } = await tensorwright(['completion', shell]);
    expect(code).toBe(0);
    for (const word of ['build', 'bench', 'run', 'inspect', 'doctor', 'timing-cache', 'onnxruntime'])
      expect(stdout).toContain(word);
    expect(stdout).not.toContain('probe');
  });

  it('completes in bash', async () => {
    const { stdout } = await tensorwright(['completion', 'bash']);
    const complete = (...words: string[]): string[] => {
      const script = `${stdout}\nCOMP_WORDS=(${words.map((w) => `'${w}'`).join(' ')}); COMP_CWORD=${words.length - 1}; _tensorwright; printf '%s\\n' "\${COMPREPLY[@]}"`;
      const result = spawnSync('bash', ['-c', script], { encoding: 'utf8' });
      expect(result.stderr).toBe('');
      return result.stdout.split('\n').filter((w) => w !== '');
    };
    expect(complete('tensorwright', 'b')).toEqual(['build', 'bench']);
    expect(complete('tensorwright', 'run', '--against', '')).toEqual(['auto', 'onnxruntime', 'reference', 'none']);
    expect(complete('tensorwright', 'bench', '--st')).toEqual(['--streams']);
    expect(complete('tensorwright', 'completion', '')).toEqual(['bash', 'zsh', 'fish']);
    expect(complete('tensorwright', 'build', 'mod')).toEqual([]);
  });
});
