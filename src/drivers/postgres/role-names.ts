/** The roles that Understudy uses in a server, and the database that it connects to. */

/** Standbys stream and clone as this one. */
export const REPLICATION_ROLE = 'understudy_replica'
/** Of the balancers: balancer-role.ts. */
export const BALANCER_ROLE = 'understudy_door'
export const SUPERUSER = 'postgres'
export const DATABASE = 'postgres'
