//! Tests of `scoring`.
