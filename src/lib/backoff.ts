/** How long to wait after the n-th failure in a row: doubles from the first figure, never above the last one. */
export function backoffMs(failures: number, bounds: { readonly firstMs: number; readonly mostMs: number }): number {
  if (failures <= 0) return 0
  return Math.min(bounds.mostMs, bounds.firstMs * 2 ** Math.min(failures - 1, 30))
}
