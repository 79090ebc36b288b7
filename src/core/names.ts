/** How nodes, services and terms are named everywhere. Apart from model.ts, so that what it is made of can use them, too. */

export type NodeName = string
export type ServiceName = string
/** The number of a primary's run: it only grows, and is the fencing token of that run. */
export type Term = number
