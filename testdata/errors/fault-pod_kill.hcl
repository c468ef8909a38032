drill "fault-pod_kill" {
  target "deployment" "checkout" {
    namespace = "shop"
    selector  = "app=checkout"
  }

  probe "http" "checkout" {
    url = "http://checkout.shop.svc/orders"
  }

  fault "pod_kill" "checkout" {
    count   = 0        # ERROR: Count out of range
    percent = 120      # ERROR: Two ways to say how many, Percent out of range
    method  = "evicted" # ERROR: Unknown method
    role    = "leader" # ERROR: Unknown role
  }
}
