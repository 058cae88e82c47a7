"""The store on Redis or Valkey 7.0 and newer: the only part that speaks to it."""
