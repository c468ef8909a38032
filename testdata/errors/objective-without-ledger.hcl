drill "objective-without-ledger" {
  target "deployment" "checkout" {
    namespace = "shop"
    selector  = "app=checkout"
  }

  probe "http" "checkout" {
    url = "http://checkout.shop.svc/"
  }

  fault "pod_kill" "checkout" {}

  objectives {
    recovery_time   = "5s"
    redundancy_time = "2m"
    lost_writes     = 0    # ERROR: Objective without a ledger
    dual_primary    = "0s" # ERROR: Objective without a ledger
    replication_lag = "1s" # ERROR: Objective without a ledger
    leader_changes  = 1    # ERROR: Objective without a ledger
    failed_over     = true # ERROR: Objective without a ledger
    unavailable     = "2s"
  }
}
