import js from '@eslint/js';
import { defineConfig, globalIgnores } from 'eslint/config';
import tseslint from 'typescript-eslint';
import { tensorwright } from './scripts/eslint-rules.js';

/**
 * The import table of docs/design.md: what each folder's sources may import of ours. Tests may import any package.
 * Dynamic imports are free: the builder and the runtime load backends that way.
 */
const importTable = {
  'packages/core/src': [],
  'packages/parser-onnx/src': ['core'],
  'packages/builder/src': ['core', 'plugins'],
  'packages/runtime/src': ['core', 'plugins', 'native'],
  'packages/backend-reference/src': ['core'],
  'packages/backend-cpu/src': ['core', 'native'],
  'packages/backend-cuda/src': ['core', 'native'],
  'packages/plugins/src': ['core', 'native'],
  'packages/calibration/src': ['core', 'runtime'],
  'packages/dla/src': ['core'],
  'packages/session/src': [
    'core',
    'parser-onnx',
    'builder',
    'runtime',
    'backend-reference',
    'backend-cpu',
    'backend-cuda',
    'plugins',
    'calibration',
    'dla',
  ],
  'packages/cli/src': [
    'core',
    'parser-onnx',
    'builder',
    'runtime',
    'backend-reference',
    'backend-cpu',
    'backend-cuda',
    'plugins',
    'calibration',
    'dla',
    'session',
  ],
  'native/js': [],
};

/** Into another package one goes by its name, never by a path. */
const noPathIntoPackage = {
  regex: String.raw`^(\.\./)+(packages/|native/|[a-z-]+/src/)`,
  message: 'Import another package by its name.',
};

const importRules = Object.entries(importTable).map(([folder, allowed]) => ({
  files: [`${folder}/**/*.ts`],
  rules: {
    'no-restricted-imports': [
      'error',
      {
        patterns: [
          noPathIntoPackage,
          {
            regex: String.raw`^(tensorwright(/|$)|@tensorwright/(?!(${allowed.join('|') || '-'})$))`,
            message: `By the import table, ${folder} may import ${allowed.join(', ') || 'nothing'} of ours.`,
          },
        ],
      },
    ],
  },
}));

const outsideFunction = ':not(:function *)';

export default defineConfig(
  globalIgnores([
    '**/dist/',
    '**/build/',
    '**/build-*/',
    '**/coverage/',
    '**/generated/',
    '.nx/',
    '.cache/',
    '.carry/',
  ]),
  js.configs.recommended,
  {
    plugins: { tensorwright },
    rules: {
      'tensorwright/kebab-case-file-name': 'error',
      'tensorwright/long-file': ['warn', 400],
      'max-lines': ['error', 500],
      eqeqeq: 'error',
      'no-console': 'error',
      'object-shorthand': 'error',
    },
  },
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.strictTypeChecked, tseslint.configs.stylisticTypeChecked],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      // Indexed access is checked by the compiler (`noUncheckedIndexedAccess`), and in numeric loops `a[i]!` is the
      // readable form.
      '@typescript-eslint/no-non-null-assertion': 'off',
      // Plans, models and options come from outside: code that checks what the types promise is wanted.
      '@typescript-eslint/no-unnecessary-condition': 'off',
      '@typescript-eslint/no-unnecessary-type-parameters': 'off',
      '@typescript-eslint/no-extraneous-class': 'off',
      '@typescript-eslint/prefer-for-of': 'off',
      '@typescript-eslint/require-await': 'off',
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true, allowBoolean: true }],
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      'tensorwright/js-import-extension': 'error',
      '@typescript-eslint/consistent-type-imports': ['error', { fixStyle: 'inline-type-imports' }],
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
      '@typescript-eslint/consistent-type-definitions': 'off',
      '@typescript-eslint/array-type': 'off',
      '@typescript-eslint/dot-notation': 'off',
      '@typescript-eslint/unbound-method': 'off',
      '@typescript-eslint/consistent-indexed-object-style': 'off',
      '@typescript-eslint/no-misused-spread': ['error', { allow: ['string'] }],
      '@typescript-eslint/class-literal-property-style': 'off',
      // `isolatedDeclarations` wants the type on the declaration.
      '@typescript-eslint/consistent-generic-constructors': 'off',
      '@typescript-eslint/no-inferrable-types': 'off',
    },
  },
  {
    files: ['packages/*/src/**/*.ts', 'native/js/**/*.ts'],
    rules: {
      'no-restricted-syntax': [
        'error',
        {
          selector: `:matches(AwaitExpression, ForOfStatement[await=true], VariableDeclaration[kind="await using"])${outsideFunction}`,
          message: 'No top-level await: require() of the package would fail.',
        },
        { selector: 'ExportDefaultDeclaration', message: 'Use named exports.' },
      ],
    },
  },
  ...importRules,
  {
    files: ['samples/**/*.{ts,js,mjs}'],
    rules: { 'no-restricted-imports': ['error', { patterns: [noPathIntoPackage] }], 'no-console': 'off' },
  },
  {
    // Tests look into JSON and deform it on purpose.
    files: ['**/test/**/*.ts'],
    rules: {
      '@typescript-eslint/no-explicit-any': 'off',
      '@typescript-eslint/no-unsafe-argument': 'off',
      '@typescript-eslint/no-unsafe-assignment': 'off',
      '@typescript-eslint/no-unsafe-call': 'off',
      '@typescript-eslint/no-unsafe-member-access': 'off',
      '@typescript-eslint/no-unsafe-return': 'off',
    },
  },
  { files: ['packages/cli/src/main.ts', 'scripts/**'], rules: { 'no-console': 'off' } },
  {
    // Configuration and scripts belong to no package's program.
    files: ['*.{ts,js}', 'scripts/**', '**/*.config.ts', '**/*.{js,mjs}'],
    extends: [tseslint.configs.disableTypeChecked],
    rules: { 'tensorwright/js-import-extension': 'off' },
    languageOptions: {
      parserOptions: { projectService: false, project: null },
      globals: { process: 'readonly', console: 'readonly', URL: 'readonly', performance: 'readonly' },
    },
  },
);
