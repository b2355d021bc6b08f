/** The alias of Express 4 has no types of its own; what the tests use of it is what Express 5 has too. */
declare module 'express4' {
  import express from 'express'
  export default express
}
