/** The lint rules of this repository that no plugin offers. */

/** @type {import('eslint').Rule.RuleModule} */
const kebabCaseFileName = {
  meta: { type: 'suggestion', schema: [], messages: { name: "File name '{{name}}' is not in kebab-case." } },
  create: (context) => ({
    Program(node) {
      const name = context.filename.split(/[\\/]/).at(-1) ?? '';
      if (!/^[a-z0-9]+(-[a-z0-9]+)*(\.[a-z0-9]+(-[a-z0-9]+)*)*$/.test(name)) {
        context.report({ node, messageId: 'name', data: { name } });
      }
    },
  }),
};

/**
 * The core `max-lines` rule again under a second name: one rule cannot both warn early and fail late.
 *
 * @type {import('eslint').Rule.RuleModule}
 */
const longFile = {
  meta: {
    type: 'suggestion',
    schema: [{ type: 'integer', minimum: 1 }],
    messages: { long: 'This file has {{lines}} lines; split it before it reaches the limit.' },
  },
  create: (context) => ({
    Program(node) {
      const lines = context.sourceCode.lines.length;
      if (lines > context.options[0]) context.report({ node, messageId: 'long', data: { lines: String(lines) } });
    },
  }),
};

/**
 * One spelling of relative imports: that of the file which will run.
 *
 * @type {import('eslint').Rule.RuleModule}
 */
const jsImportExtension = {
  meta: {
    type: 'suggestion',
    fixable: 'code',
    schema: [],
    messages: { js: "Relative imports of sources end in '.js'." },
  },
  create: (context) => {
    const check = ({ source }) => {
      if (source?.type !== 'Literal' || !/^\.{1,2}\/.*\.ts$/.test(String(source.value))) return;
      const text = context.sourceCode.getText(source);
      const fix = (fixer) => fixer.replaceText(source, text.replace(/\.ts(?=.$)/, '.js'));
      context.report({ node: source, messageId: 'js', fix });
    };
    return {
      ImportDeclaration: check,
      ExportNamedDeclaration: check,
      ExportAllDeclaration: check,
      ImportExpression: check,
    };
  },
};

/** @type {import('eslint').ESLint.Plugin} */
export const tensorwright = {
  meta: { name: 'tensorwright' },
  rules: { 'kebab-case-file-name': kebabCaseFileName, 'long-file': longFile, 'js-import-extension': jsImportExtension },
};
