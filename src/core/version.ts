/** The package's version, as the server metadata and the CLI print it; a test keeps it equal to package.json. */
export const VERSION = '0.1.0'
