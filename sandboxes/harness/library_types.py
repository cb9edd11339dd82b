"""Attributes of the types of libraries whose values are answers by themselves.

To load the libraries for it would take half a second. Made by `dir` of each type and its relatives in the
image, with numpy 1.24, pandas 1.5 and sympy 1.11.
"""

from __future__ import annotations

TEXTS = {
    "ndarray": """
        T all any argmax argmin argpartition argsort astype base byteswap choose clip compress conj
        conjugate copy ctypes cumprod cumsum data diagonal dot dtype dump dumps fill flags flat flatten
        getfield imag item itemset itemsize max mean min nbytes ndim newbyteorder nonzero partition prod
        ptp put ravel real repeat reshape resize round searchsorted setfield setflags shape size sort
        squeeze std strides sum swapaxes take tobytes tofile tolist tostring trace transpose var view
    """,
    "DataFrame": """
        T abs add add_prefix add_suffix agg aggregate align all any append apply applymap asfreq asof
        assign astype at at_time attrs axes backfill between_time bfill bool boxplot clip columns combine
        combine_first compare convert_dtypes copy corr corrwith count cov cummax cummin cumprod cumsum
        describe diff div divide dot drop drop_duplicates droplevel dropna dtypes duplicated empty eq
        equals eval ewm expanding explode ffill fillna filter first first_valid_index flags floordiv
        from_dict from_records ge get groupby gt head hist iat idxmax idxmin iloc index infer_objects info
        insert interpolate isetitem isin isna isnull items iteritems iterrows itertuples join keys kurt
        kurtosis last last_valid_index le loc lookup lt mad mask max mean median melt memory_usage merge
        min mod mode mul multiply ndim ne nlargest notna notnull nsmallest nunique pad pct_change pipe
        pivot pivot_table plot pop pow prod product quantile query radd rank rdiv reindex reindex_like
        rename rename_axis reorder_levels replace resample reset_index rfloordiv rmod rmul rolling round
        rpow rsub rtruediv sample select_dtypes sem set_axis set_flags set_index shape shift size skew
        slice_shift sort_index sort_values sparse squeeze stack std style sub subtract sum swapaxes
        swaplevel tail take to_clipboard to_csv to_dict to_excel to_feather to_gbq to_hdf to_html to_json
        to_latex to_markdown to_numpy to_orc to_parquet to_period to_pickle to_records to_sql to_stata
        to_string to_timestamp to_xarray to_xml transform transpose truediv truncate tshift tz_convert
        tz_localize unstack update value_counts values var where xs
    """,
    "Series": """
        T abs add add_prefix add_suffix agg aggregate align all any append apply argmax argmin argsort
        array asfreq asof astype at at_time attrs autocorr axes backfill between between_time bfill bool
        cat clip combine combine_first compare convert_dtypes copy corr count cov cummax cummin cumprod
        cumsum describe diff div divide divmod dot drop drop_duplicates droplevel dropna dt dtype dtypes
        duplicated empty eq equals ewm expanding explode factorize ffill fillna filter first
        first_valid_index flags floordiv ge get groupby gt hasnans head hist iat idxmax idxmin iloc index
        infer_objects info interpolate is_monotonic is_monotonic_decreasing is_monotonic_increasing
        is_unique isin isna isnull item items iteritems keys kurt kurtosis last last_valid_index le loc lt
        mad map mask max mean median memory_usage min mod mode mul multiply name nbytes ndim ne nlargest
        notna notnull nsmallest nunique pad pct_change pipe plot pop pow prod product quantile radd rank
        ravel rdiv rdivmod reindex reindex_like rename rename_axis reorder_levels repeat replace resample
        reset_index rfloordiv rmod rmul rolling round rpow rsub rtruediv sample searchsorted sem set_axis
        set_flags shape shift size skew slice_shift sort_index sort_values sparse squeeze std str sub
        subtract sum swapaxes swaplevel tail take to_clipboard to_csv to_dict to_excel to_frame to_hdf
        to_json to_latex to_list to_markdown to_numpy to_period to_pickle to_sql to_string to_timestamp
        to_xarray tolist transform transpose truediv truncate tshift tz_convert tz_localize unique unstack
        update value_counts values var view where xs
    """,
    "Index": """
        T all any append argmax argmin argsort array asi8 asof asof_locs astype ceil codes copy date day
        day_name day_of_week day_of_year dayofweek dayofyear days_in_month daysinmonth delete difference
        drop drop_duplicates droplevel dropna dtype dtypes duplicated empty equal_levels equals factorize
        fillna floor format freq freqstr from_arrays from_frame from_product from_tuples get_indexer
        get_indexer_for get_indexer_non_unique get_level_values get_loc get_loc_level get_locs
        get_slice_bound get_value groupby has_duplicates hasnans holds_integer hour identical
        indexer_at_time indexer_between_time inferred_freq inferred_type insert intersection is_
        is_all_dates is_boolean is_categorical is_floating is_integer is_interval is_leap_year
        is_lexsorted is_mixed is_monotonic is_monotonic_decreasing is_monotonic_increasing is_month_end
        is_month_start is_normalized is_numeric is_object is_quarter_end is_quarter_start
        is_type_compatible is_unique is_year_end is_year_start isin isna isnull isocalendar item join
        levels levshape lexsort_depth map max mean memory_usage microsecond min minute month month_name
        name names nanosecond nbytes ndim nlevels normalize notna notnull nunique putmask quarter ravel
        reindex remove_unused_levels rename reorder_levels repeat resolution round searchsorted second
        set_codes set_levels set_names set_value shape shift size slice_indexer slice_locs snap sort
        sort_values sortlevel std str strftime swaplevel symmetric_difference take time timetz
        to_flat_index to_frame to_julian_date to_list to_native_types to_numpy to_period to_perioddelta
        to_pydatetime to_series tolist transpose truncate tz tz_convert tz_localize tzinfo union
        union_many unique value_counts values view week weekday weekofyear where year
    """,
    "Timestamp": """
        asm8 astimezone ceil combine components ctime date day day_name day_of_week day_of_year dayofweek
        dayofyear days days_in_month daysinmonth delta dst floor fold freq freqstr fromisocalendar
        fromisoformat fromordinal fromtimestamp hour is_leap_year is_month_end is_month_start is_populated
        is_quarter_end is_quarter_start is_year_end is_year_start isocalendar isoformat isoweekday max
        microsecond microseconds min minute month month_name nanosecond nanoseconds normalize now quarter
        replace resolution resolution_string round second seconds strftime strptime time timestamp
        timetuple timetz to_datetime64 to_julian_date to_numpy to_period to_pydatetime to_pytimedelta
        to_timedelta64 today toordinal total_seconds tz tz_convert tz_localize tzinfo tzname
        utcfromtimestamp utcnow utcoffset utctimetuple value view week weekday weekofyear year
    """,
    "Expr": """
        adjoint apart args args_cnc as_base_exp as_coeff_Add as_coeff_Mul as_coeff_add as_coeff_exponent
        as_coeff_mul as_coefficient as_coefficients_dict as_content_primitive as_dummy as_expr
        as_independent as_leading_term as_numer_denom as_ordered_factors as_ordered_terms as_poly
        as_powers_dict as_real_imag as_set as_terms as_two_terms aseries assumptions0 atoms binary_symbols
        cancel canonical_variables ceiling class_key coeff cofactors collect combsimp compare
        compute_leading_term conjugate copy could_extract_minus_sign count count_ops default_assumptions
        denominator diff dir doit dummy_eq epsilon_eq equals eval evalf expand expr_free_symbols
        extract_additively extract_branch_factor extract_leading_order extract_multiplicatively factor
        factors fdiff find flatten floor fourier_series fps free_symbols fromiter func gammasimp gcd getO
        getn has has_free identity integrate invert is_Add is_AlgebraicNumber is_Atom is_Boolean
        is_Derivative is_Dummy is_Equality is_Float is_Function is_Indexed is_Integer is_MatAdd is_MatMul
        is_Matrix is_Mul is_Not is_Number is_NumberSymbol is_Order is_Piecewise is_Point is_Poly is_Pow
        is_Rational is_Relational is_Symbol is_Vector is_Wild is_algebraic is_algebraic_expr
        is_antihermitian is_commutative is_comparable is_complex is_composite is_constant is_even
        is_extended_negative is_extended_nonnegative is_extended_nonpositive is_extended_nonzero
        is_extended_positive is_extended_real is_finite is_hermitian is_hypergeometric is_imaginary
        is_infinite is_integer is_irrational is_meromorphic is_negative is_noninteger is_nonnegative
        is_nonpositive is_nonzero is_number is_odd is_polar is_polynomial is_positive is_prime is_rational
        is_rational_function is_real is_scalar is_singular is_symbol is_transcendental is_zero kind lcm
        leadterm limit limit_denominator lseries make_args match matches n name normal nseries nsimplify
        num numerator p powsimp primitive q radsimp ratsimp rcall refine removeO replace rewrite round
        separate series simplify sort_key subs taylor_term to_nnf together transpose trigsimp xreplace
    """,
    "Matrix": """
        C D H LDLdecomposition LDLsolve LUdecomposition LUdecompositionFF LUdecomposition_Simple LUsolve
        QRdecomposition QRsolve T add adjoint adjugate analytic_func applyfunc as_immutable as_mutable
        as_real_imag atoms berkowitz berkowitz_charpoly berkowitz_det berkowitz_eigenvals berkowitz_minors
        bidiagonal_decomposition bidiagonalize charpoly cholesky cholesky_solve cofactor cofactorMatrix
        cofactor_matrix col col_del col_insert col_join col_op col_swap cols columnspace companion
        condition_number conjugate connected_components connected_components_decomposition copy
        copyin_list copyin_matrix cross det det_LU_decomposition det_bareis diag diagonal diagonal_solve
        diagonalize diff doit dot dual echelon_form eigenvals eigenvects elementary_col_op
        elementary_row_op equals evalf exp expand extract eye fill flat free_symbols gauss_jordan_solve
        get_diag_blocks has hstack integrate inv inv_mod inverse_ADJ inverse_BLOCK inverse_CH inverse_GE
        inverse_LDL inverse_LU inverse_QR irregular is_Identity is_Matrix is_MatrixExpr is_anti_symmetric
        is_diagonal is_diagonalizable is_echelon is_hermitian is_indefinite is_lower is_lower_hessenberg
        is_negative_definite is_negative_semidefinite is_nilpotent is_positive_definite
        is_positive_semidefinite is_square is_strongly_diagonally_dominant is_symbolic is_symmetric
        is_upper is_upper_hessenberg is_weakly_diagonally_dominant is_zero is_zero_matrix jacobian
        jordan_block jordan_cell jordan_cells jordan_form key2bounds key2ij kind left_eigenvects limit log
        lower_triangular lower_triangular_solve minor minorEntry minorMatrix minor_submatrix multiply
        multiply_elementwise n norm normalized nullspace one ones orthogonalize per permute permuteBkwd
        permuteFwd permute_cols permute_rows pinv pinv_solve pow print_nonzero project rank
        rank_decomposition refine replace reshape rmultiply rot90 row row_del row_insert row_join row_op
        row_swap rows rowspace rref shape simplify singular_value_decomposition singular_values solve
        solve_least_squares strongly_connected_components strongly_connected_components_decomposition subs
        table todod todok tolist trace transpose upper_hessenberg_decomposition upper_triangular
        upper_triangular_solve values vec vech vstack wilkinson xreplace zero zeros zip_row_op
    """,
    "Set": """
        Lopen Ropen args as_content_primitive as_dummy as_relational assumptions0 atoms boundary
        canonical_variables class_key closure compare complement contains copy could_extract_minus_sign
        count count_ops default_assumptions doit dummy_eq end evalf expr_free_symbols find flatten
        free_symbols fromiter func has has_free identity inf interior intersect intersection is_Add
        is_AlgebraicNumber is_Atom is_Boolean is_Complement is_ComplexRegion is_Derivative is_Dummy
        is_EmptySet is_Equality is_FiniteSet is_Float is_Function is_Indexed is_Integer is_Intersection
        is_Interval is_MatAdd is_MatMul is_Matrix is_Mul is_Not is_Number is_NumberSymbol is_Order
        is_Piecewise is_Point is_Poly is_Pow is_ProductSet is_Rational is_Relational is_Symbol is_Union
        is_UniversalSet is_Vector is_Wild is_algebraic is_antihermitian is_closed is_commutative
        is_comparable is_complex is_composite is_disjoint is_empty is_even is_extended_negative
        is_extended_nonnegative is_extended_nonpositive is_extended_nonzero is_extended_positive
        is_extended_real is_finite is_finite_set is_hermitian is_hypergeometric is_imaginary is_infinite
        is_integer is_interval is_irrational is_iterable is_left_unbounded is_negative is_noninteger
        is_nonnegative is_nonpositive is_nonzero is_number is_odd is_open is_polar is_positive is_prime
        is_proper_subset is_proper_superset is_rational is_real is_right_unbounded is_subset is_superset
        is_symbol is_transcendental is_zero isdisjoint issubset issuperset kind left left_open make_args
        match matches measure n open powerset rcall refine replace rewrite right right_open simplify
        sort_key start subs sup symmetric_difference to_mpi union xreplace zero
    """,
    "Rel": """
        ValidRelationOperator args as_content_primitive as_dummy as_poly as_set assumptions0 atoms
        binary_check_and_simplify binary_symbols canonical canonical_variables class_key compare copy
        could_extract_minus_sign count count_ops default_assumptions diff doit dummy_eq equals eval evalf
        expand expr_free_symbols find flatten free_symbols fromiter func has has_free identity integrate
        is_Add is_AlgebraicNumber is_Atom is_Boolean is_Derivative is_Dummy is_Equality is_Float
        is_Function is_Indexed is_Integer is_MatAdd is_MatMul is_Matrix is_Mul is_Not is_Number
        is_NumberSymbol is_Order is_Piecewise is_Point is_Poly is_Pow is_Rational is_Relational is_Symbol
        is_Vector is_Wild is_algebraic is_antihermitian is_commutative is_comparable is_complex
        is_composite is_even is_extended_negative is_extended_nonnegative is_extended_nonpositive
        is_extended_nonzero is_extended_positive is_extended_real is_finite is_hermitian is_hypergeometric
        is_imaginary is_infinite is_integer is_irrational is_negative is_noninteger is_nonnegative
        is_nonpositive is_nonzero is_number is_odd is_polar is_positive is_prime is_rational is_real
        is_symbol is_transcendental is_zero kind lhs make_args match matches n nargs negated rcall refine
        rel_op replace reversed reversedsign rewrite rhs simplify sort_key strict subs to_anf to_nnf weak
        xreplace zero
    """,
}
ATTRIBUTES = [frozenset(text.split()) for text in TEXTS.values()]
