/** The alias of Express 4 has no types of its own; the tests use only the part that Express 5 has too. */
declare module 'express4' {
  import express from 'express'
  export default express
}
