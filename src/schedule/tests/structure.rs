//! What fusion promises: kernels per parameter, passes over memory, no copies for views.
