/** How nodes, services and terms are named everywhere. Apart from model.ts, so that what it is made of can use them, too. */

export type NodeName = string
export type ServiceName = string
/** Who leads a service since when: a number that only grows, and the fencing token of whoever holds it. */
export type Term = number
