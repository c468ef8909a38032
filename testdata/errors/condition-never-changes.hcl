drill "condition-never-changes" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  abort "always" {
    condition     = target.orders.lag_seconds >= 0 # ERROR: Constant condition
    error_message = "Lag."
  }

  abort "never" {
    condition     = target.orders.success_ratio > 1 # ERROR: Constant condition
    error_message = "Too good."
  }

  abort "percent" {
    condition     = target.orders.success_ratio > 99 && target.orders.lag_seconds > 5 # ERROR: Constant condition
    error_message = "Percent."
  }

  abort "negated" {
    condition     = !(run.elapsed_seconds < 0 || target.orders.primaries == -1) # ERROR: Constant condition
    error_message = "Negated."
  }

  abort "reachable" {
    condition     = target.orders.success_ratio <= 0
    error_message = "Nothing is answered."
  }
}
