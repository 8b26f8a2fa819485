// Programs and packages that only a test needs, set once in the user's cache folder by the scripts of this repository.

const script = (name: string) => import(new URL(`../../scripts/${name}`, import.meta.url).href);

/** The packages of PyPI that validate templates. */
export const CFN_LINT = 'cfn-lint==1.58.0';
export const PYTHON_HCL2 = 'python-hcl2==8.1.4';
export const KUBERNETES_VALIDATE = 'kubernetes-validate==1.37.0';
/** Those of npm. */
export const CDK = ['aws-cdk-lib@2.275.0', 'constructs@10.8.1'];
export const GRAFANA = ['@grafana/grafana-foundation-sdk@0.0.21'];
export const PROMQL = ['@prometheus-io/lezer-promql@0.315.0', '@lezer/highlight@1.2.5', '@lezer/lr@1.4.12'];

/** Where the programs of these packages are, and their Python. */
export async function pythonEnvironment(...packages: string[]): Promise<{ folder: string; python: string }> {
  return (await script('python.mjs')).pythonEnvironment(...packages);
}

/** The `node_modules` with these packages. */
export async function npmEnvironment(...packages: string[]): Promise<string> {
  return (await script('npm-tools.mjs')).npmEnvironment(...packages);
}
