//! What is done to the visitors, the same on every server.

use crate::installation::VISITORS;
use crate::rows::Order;

/// What is done to them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Task {
    /// Expired visitors are erased.
    Erase,
    /// The addresses of expired visitors are masked to /24.
    Mask,
}

/// A table, and what is done to it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Course {
    pub(crate) task: Task,
    pub(crate) rows: u32,
    pub(crate) order: Order,
}

impl Course {
    /// The table's name where it is kept for copies.
    pub(crate) fn template(self) -> String {
        let order = match self.order {
            Order::Time => "time",
            Order::Random => "random",
            Order::Sparse => "sparse",
        };
        format!("{order}_{}", self.rows)
    }

    /// Rows that are touched.
    pub(crate) fn touched(self) -> u64 {
        self.order.expired(self.rows).into()
    }

    /// Rows that are still there after.
    pub(crate) fn remaining(self) -> u64 {
        match self.task {
            Task::Erase => u64::from(self.rows) - self.touched(),
            Task::Mask => self.rows.into(),
        }
    }

    /// The rule that does it.
    pub(crate) fn rule(self) -> &'static str {
        match self.task {
            Task::Erase => VISITORS,
            Task::Mask => "shop.example/chat/visitors/ip",
        }
    }

    pub(crate) fn retention(self) -> &'static str {
        match self.task {
            Task::Erase => "visit = \"6 months\"",
            Task::Mask => "visit = \"2 years\"\n\"visit.ip-address\" = \"6 months\"\n[settings]\nstore-ip = true",
        }
    }

    /// What the table's declaration says after its time.
    pub(crate) fn columns(self) -> &'static str {
        match self.task {
            Task::Erase => "",
            Task::Mask => "columns.ip = { category = \"visit.ip-address\", do = \"truncate\" }",
        }
    }
}
