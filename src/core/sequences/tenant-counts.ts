/** Counts by tenant; a tenant with a count of zero takes no memory. */
export interface TenantCounts {
  of(tenant: string): number
  add(tenant: string, count: 1 | -1): void
  /** Number of remembered tenants. */
  readonly size: number
}

export function createTenantCounts(): TenantCounts {
  const counts = new Map<string, number>()
  const of = (tenant: string): number => counts.get(tenant) ?? 0
  return {
    of,
    add(tenant, count) {
      const sum = of(tenant) + count
      if (sum > 0) counts.set(tenant, sum)
      else counts.delete(tenant)
    },
    get size() {
      return counts.size
    },
  }
}
